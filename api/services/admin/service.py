"""The admin service."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.admin.kinds import (  # noqa: F401 - they register operations on other kinds
    api_key_usage,
    audit_chain,
    claims_preview,
    effective,
    invitation_acceptance,
    one_time_password,
    password_change,
    password_reset,
    project_move,
    session_token,
    simulation,
    user_account,
    user_session,
    webhook_delivery,
)
from api.services.admin.kinds.access import DECISION
from api.services.admin.kinds.api_key import API_KEY
from api.services.admin.kinds.audit import AUDIT_EVENT
from api.services.admin.kinds.grant import GRANT
from api.services.admin.kinds.group import GROUP
from api.services.admin.kinds.identity_provider import IDENTITY_PROVIDER
from api.services.admin.kinds.invitation import INVITATION
from api.services.admin.kinds.monitoring import MONITORING
from api.services.admin.kinds.organization import ORGANIZATION
from api.services.admin.kinds.preferences import PREFERENCES
from api.services.admin.kinds.project import PROJECT
from api.services.admin.kinds.role import ROLE
from api.services.admin.kinds.service_account import SERVICE_ACCOUNT
from api.services.admin.kinds.session import SESSION
from api.services.admin.kinds.settings import SETTINGS
from api.services.admin.kinds.signing_key import SIGNING_KEY
from api.services.admin.kinds.user import USER
from api.services.admin.kinds.webhook_endpoint import WEBHOOK_ENDPOINT
from api.services.admin.logic import moving

SERVICE = Service(
    "admin",
    "Admin",
    [
        ORGANIZATION,
        PROJECT,
        USER,
        GROUP,
        SERVICE_ACCOUNT,
        API_KEY,
        SESSION,
        ROLE,
        GRANT,
        DECISION,
        AUDIT_EVENT,
        IDENTITY_PROVIDER,
        INVITATION,
        WEBHOOK_ENDPOINT,
        SIGNING_KEY,
        SETTINGS,
        PREFERENCES,
        MONITORING,
    ],
    sagas=[moving.SAGA],
    description="Organizations, projects, principals, and their permissions.",
)
