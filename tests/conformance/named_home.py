"""Two tenants with things of every kind that have the same names, and the requests that refer to them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from api.kernel.kinds import slots
from api.kernel.kinds.resource import Level
from api.kernel.kinds.resource_kind import ResourceKind
from tests.api.admin.tenants import Tenant, grant, made, tenant
from tests.api_process import Api, Caller
from tests.conformance.operations import DRAFTS, ENDPOINTS, ROWS, STORED, add_rows, collection
from tests.lineage_events import dataset, event

NAMES = {
    "admin.organization": "one",
    "admin.project": "one_data",
    "admin.user": "one-ada",
    "admin.service_account": "loader",
    "admin.group": "readers",
    "admin.role": "reading",
    "admin.identity_provider": "one-login",
    "admin.webhook_endpoint": "hook",
    "ai_catalog.entity": "customer",
    "ai_catalog.feature_service": "churn",
    "ai_catalog.feature_view": "spending",
    "ai_catalog.evaluation": "punctual",
    "ai_catalog.evaluation_dataset": "sums",
    "ai_catalog.experiment": "trees",
    "ai_catalog.recipient": "acme",
    "ai_catalog.registered_model": "price",
    "ai_catalog.pipeline": "nightly",
    "ai_catalog.policy": "mails",
    "ai_catalog.prompt": "answer",
    "ai_catalog.share": "partners",
    "ai_catalog.glossary_term": "passenger",
    "ai_catalog.tag": "pii",
}
"""What the things of the tenant are called. Where names may be there twice, another tenant has the same."""

LINEAGE_EVENT = event("COMPLETE", inputs=[dataset("pg", "a")], outputs=[dataset("pg", "b")])

BODIES: dict[str, dict[str, Any]] = {
    "ai_catalog_gc_artifacts": {"project": "[admin.project]", "digest": hashlib.sha256(b"").hexdigest()},
    "ai_catalog_create_branch": {"project_id": "[admin.project]", "name": "second-trial"},
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
    "ai_catalog_create_lineage_event": {"event": LINEAGE_EVENT, "project_id": "[admin.project]"},
    "ai_catalog_ingest_lineage_events": {"events": [LINEAGE_EVENT], "project_id": "[admin.project]"},
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
    "ai_catalog_create_logged_model": {"experiment_id": "[ai_catalog.experiment]", "name": "first"},
    "ai_catalog_create_prompt_version": {"prompt_id": "[ai_catalog.prompt]", "messages": [{"content": "x"}]},
    "ai_catalog_create_model_version": {
        "registered_model_id": "[ai_catalog.registered_model]",
        "source": "runs:/[ai_catalog.run]/notes.txt",
    },
    "ai_catalog_grant_share": {"recipient_id": "[ai_catalog.recipient]"},
    "ai_catalog_revoke_share": {"recipient_id": "[ai_catalog.recipient]"},
    "ai_catalog_test_policy": {"asset": "acme.silver.flights", "principal_id": "[admin.user]"},
    "ai_catalog_create_run": {"experiment_id": "[ai_catalog.experiment]", "name": "first"},
    "ai_catalog_move_run": {"experiment_id": "[ai_catalog.experiment]"},
    "ai_catalog_search_runs": {"experiments": ["[ai_catalog.experiment]"]},
    "ai_catalog_create_scorer": {"experiment_id": "[ai_catalog.experiment]", "name": "polite", "definition": "{}"},
    "ai_catalog_create_trace": {"experiment_id": "[ai_catalog.experiment]", "otel_id": "2" * 32},
    "ai_catalog_purge_traces": {"experiment_id": "[ai_catalog.experiment]", "traces": ["[ai_catalog.trace]"]},
    "ai_catalog_search_traces": {"experiments": ["[ai_catalog.experiment]"]},
    "ai_catalog_statistics_traces": {"experiments": ["[ai_catalog.experiment]"]},
}
"""Of each operation that takes references a body that holds every one of them."""

SPECS: dict[str, dict[str, Any]] = {
    "ai_catalog.feature_service": {
        "views": [{"view_id": "[ai_catalog.feature_view]", "features": [], "version": None}]
    },
    "ai_catalog.evaluation_dataset": {"experiments": ["[ai_catalog.experiment]"]},
    "ai_catalog.feature_view": {"entity_id": "[ai_catalog.entity]"},
    "ai_catalog.glossary_term": {
        "parent_id": "[broader]",
        "related": ["[broader]"],
        "successor_id": "[broader]",
    },
    "ai_catalog.policy": {"to": ["[admin.user]"], "exempt": ["[admin.group]"]},
    "ai_catalog.registered_model": {"required_evaluations": ["[ai_catalog.evaluation]"]},
    "admin.user": {"identity_provider_id": "[admin.identity_provider]"},
    "admin.webhook_endpoint": {"project_id": "[admin.project]"},
    "admin.identity_provider": {"groups": {"staff": "[claimed]"}, "roles": {"staff": "[admin.role]"}},
}
"""Of each stored kind whose spec holds references, all of them."""

REFERRING = [one for one in ENDPOINTS if one.request is not None and slots.referring(one.request)]


@dataclass
class Home:
    """A tenant with a thing of every kind, and another one with things of the same names and of others."""

    api: Api
    own: Tenant
    ids: dict[str, str] = field(default_factory=dict)

    def filled(self, body: Any, *, by_name: bool) -> Any:
        """The body with ids or names of the tenant's things."""
        text = json.dumps(body)
        for kind, id in self.ids.items():
            text = text.replace(f"[{kind}]", NAMES.get(kind, id if kind in ROWS else kind) if by_name else id)
        return json.loads(text)


async def resource_named(admin: Caller, kind: ResourceKind[Any], name: str, place: dict[str, str], **spec: Any) -> str:
    body = {"name": name, "spec": DRAFTS[kind.full_name][0] | spec, **place}
    return str((await made(admin.post(collection(kind), body)))["id"])


async def settled(api: Api) -> Home:
    """Makes both tenants."""
    own, other = await tenant(api, "one"), await tenant(api, "other")
    found = Home(api, own)
    found.ids |= {"admin.organization": own.organization, "admin.project": own.project}
    for kind in STORED:
        if kind.full_name in found.ids:
            continue
        for home in (own, other):
            project = {"project_id": home.project}
            place = project if kind.level is Level.PROJECT else {"organization_id": home.organization}
            name = NAMES[kind.full_name]
            name = name.replace("one", "other") if home is other else name
            id = await resource_named(api.admin, kind, name, place)
            if home is own:
                found.ids[kind.full_name] = id
    group = next(kind for kind in STORED if kind.full_name == "admin.group")
    place = {"organization_id": own.organization}
    found.ids["claimed"] = await resource_named(api.admin, group, "claimed", place, source="CLAIM")
    term = next(kind for kind in STORED if kind.full_name == "ai_catalog.glossary_term")
    found.ids["broader"] = await resource_named(api.admin, term, "broader", place)
    await add_rows(api.admin, found.ids)
    for kind in ("user", "group", "service_account"):
        await grant(api, found.ids[f"admin.{kind}"], "rol_viewer", own.project)
    return found
