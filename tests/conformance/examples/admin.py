"""Examples of the Admin service, for the conformance suite."""

from __future__ import annotations

from typing import Any

BODIES: dict[str, dict[str, Any]] = {
    "admin_update_api_key": {"label": "a key"},
    "admin_update_preferences": {"theme": "DARK"},
    "admin_clone_role": {"name": "cloned"},
    "admin_add_members_group": {"members": ["usr_06e1xq0000exampe0000000000"]},
    "admin_remove_members_group": {"members": ["usr_06e1xq0000exampe0000000000"]},
    "admin_set_client_secret_identity_provider": {"client_secret": "a secret of the provider"},
    "admin_preview_identity_provider": {"claims": {"sub": "ana"}},
    "admin_purge_organization": {"name": "default"},
    "admin_move_project": {"organization_id": "default"},
    "admin_preview_move_project": {"organization_id": "default"},
    "admin_preview_settings": {"mfa_required": True},
    "admin_set_password_user": {"password": "a long enough password"},
    "admin_confirm_one_time_password_user": {"code": "123456"},
    "admin_renew_recovery_codes_user": {"code": "123456"},
}
"""A valid body of each operation that requires one, with made-up ids."""


DRAFTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "admin.group": ({"title": "Readers"}, {"title": "Writers"}),
    "admin.identity_provider": (
        {"title": "Login", "issuer": "https://login.example.org", "client_id": "headwater"},
        {"title": "Other login"},
    ),
    "admin.organization": ({"title": "Sales"}, {"title": "Marketing"}),
    "admin.project": ({"title": "Churn"}, {"title": "Forecast"}),
    "admin.role": ({"title": "Reader", "permissions": ["admin.project.get"]}, {"permissions": ["admin.project.*"]}),
    "admin.service_account": ({"description": "Loads orders"}, {"description": "Loads returns", "key_days": 30}),
    "admin.webhook_endpoint": ({"url": "https://hooks.example.org/a"}, {"url": "https://hooks.example.org/b"}),
    "admin.user": ({"title": "Ana"}, {"title": "Ana Lima"}),
}
"""A spec to create each stored kind with, and a change of it."""


NAMES: dict[str, str] = {
    "admin.organization": "one",
    "admin.project": "one_data",
    "admin.user": "one-ada",
    "admin.service_account": "loader",
    "admin.group": "readers",
    "admin.role": "reading",
    "admin.identity_provider": "one-login",
    "admin.webhook_endpoint": "hook",
}
"""The name of an item of each kind with names."""


BODIES_WITH_REFERENCES: dict[str, dict[str, Any]] = {
    "admin_create_grant": {
        "principal_id": "[admin.user]",
        "role_id": "[admin.role]",
        "securable_id": "[admin.project]",
        "condition": 'owner == "[admin.user]" || owner in ["[admin.group]"]',
    },
    "admin_apply_grants": {
        "grant": [
            {"principal_id": "[admin.group]", "role_id": "[admin.role]", "securable_id": "[admin.organization]"},
            {
                "principal_id": "[admin.service_account]",
                "permission": "admin.group.get",
                "securable_id": "[admin.group]",
                "securable_kind": "admin.group",
            },
        ]
    },
    "admin_create_api_key": {"label": "a key", "principal_id": "[admin.service_account]"},
    "admin_clone_role": {"name": "cloned", "organization_id": "[admin.organization]"},
    "admin_add_members_group": {"members": ["[admin.user]", "[admin.service_account]"]},
    "admin_remove_members_group": {"members": ["[admin.user]"]},
    "admin_create_invitation": {
        "email": "new@example.org",
        "organization_id": "[admin.organization]",
        "groups": ["[admin.group]"],
        "grants": [{"role_id": "[admin.role]", "securable_id": "[admin.project]"}],
    },
    "admin_preview_move_project": {"organization_id": "[admin.organization]"},
    "admin_move_project": {"organization_id": "[admin.organization]"},
    "admin_check_access": {
        "principal_id": "[admin.user]",
        "permission": "admin.project.get",
        "securable_id": "[admin.project]",
    },
    "admin_check_access_batch": {
        "items": [
            {
                "principal_id": "[admin.group]",
                "permission": "admin.role.get",
                "securable_id": "[admin.role]",
                "securable_kind": "admin.role",
            }
        ]
    },
    "admin_explain_access": {
        "principal_id": "[admin.user]",
        "permission": "admin.project.get",
        "securable_id": "[admin.project]",
    },
    "admin_list_objects_decisions": {
        "principal_id": "[admin.user]",
        "permission": "admin.project.get",
        "kind": "admin.project",
    },
    "admin_list_subjects_decisions": {"permission": "admin.project.get", "securable_id": "[admin.project]"},
    "admin_effective_grants": {"securable_id": "[admin.project]"},
    "admin_simulate_access": {
        "grant": [{"principal_id": "[admin.user]", "role_id": "rol_viewer", "securable_id": "[admin.project]"}],
        "questions": [
            {
                "principal_id": "[admin.user]",
                "permission": "admin.project.update",
                "securable_id": "[admin.project]",
            }
        ],
        "securables": [{"securable_id": "[admin.project]"}],
    },
}
"""A body of each operation that takes references, with all of its references. Ids are in brackets."""


SPECS_WITH_REFERENCES: dict[str, dict[str, Any]] = {
    "admin.user": {"identity_provider_id": "[admin.identity_provider]"},
    "admin.webhook_endpoint": {"project_id": "[admin.project]"},
    "admin.identity_provider": {"groups": {"staff": "[claimed]"}, "roles": {"staff": "[admin.role]"}},
}
"""The references in the spec of each stored kind that has them. Ids are in brackets."""
