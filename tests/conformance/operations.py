"""What the suite knows of every operation: how to address it, and a body that it would take."""

from __future__ import annotations

import json
from typing import Any

from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.noun import Noun
from api.kernel.kinds.registry import Registry
from api.kernel.kinds.resource_kind import ResourceKind
from api.main import SERVICES

REGISTRY = Registry(SERVICES)
ENDPOINTS = REGISTRY.endpoints
GUARDED = [endpoint for endpoint in ENDPOINTS if not endpoint.public]
_KINDS = {endpoint.kind.full_name: endpoint.kind for endpoint in ENDPOINTS}
STORED: list[ResourceKind[Any]] = [kind for kind in _KINDS.values() if isinstance(kind, ResourceKind)]
"""Every kind whose things the platform stores."""


def url(endpoint: Endpoint, id: str | None = None, part: str = "1") -> str:
    """Its path, on this item or on one that there is not."""
    path = endpoint.path.replace(f"{{{endpoint.kind.name}}}", id or endpoint.kind.example)
    return path.replace(f"{{{endpoint.part}}}", part)


def collection(kind: Noun) -> str:
    """Path of a kind's collection below `/api/v1/`."""
    return f"{kind.service.replace('_', '-')}/{kind.plural}"


def minimal(endpoint: Endpoint) -> dict[str, Any]:
    """A body that fits, so that what is wrong with the request is something else."""
    return BODIES.get(endpoint.operation_id, {})


BODIES: dict[str, dict[str, Any]] = {
    "admin_update_api_key": {"label": "a key"},
    "admin_clone_role": {"name": "cloned"},
    "admin_add_members_group": {"members": ["usr_06e1xq0000exampe0000000000"]},
    "admin_remove_members_group": {"members": ["usr_06e1xq0000exampe0000000000"]},
    "admin_set_client_secret_identity_provider": {"client_secret": "a secret of the provider"},
    "admin_preview_identity_provider": {"claims": {"sub": "ana"}},
    "admin_purge_organization": {"name": "default"},
    "admin_move_project": {"organization_id": "default"},
    "admin_preview_move_project": {"organization_id": "default"},
    "admin_set_password_user": {"password": "a long enough password"},
    "admin_confirm_one_time_password_user": {"code": "123456"},
    "admin_renew_recovery_codes_user": {"code": "123456"},
    "ai_catalog_create_branch": {"project_id": "prj_06e1xq0000exampe0000000000", "name": "trial"},
    "ai_catalog_run_branch": {"assets": ["flights.silver.flights"]},
    "ai_catalog_define_branch": {"asset": "flights.gold.daily", "revision": 1},
    "ai_catalog_create_attestation": {"asset": "flights.silver.flights"},
    "ai_catalog_consent_contract": {"asset": "flights.gold.daily"},
    "ai_catalog_create_contract": {"asset": "flights.silver.flights", "contact": "team:data", "terms": {}},
    "ai_catalog_create_access_request": {
        "asset": "flights.silver.flights",
        "copies": "flights.gold.daily",
        "purpose": "x",
    },
    "ai_catalog_reject_access_request": {"comment": "No."},
    "ai_catalog_create_release": {"asset": "flights.silver.flights", "copies": "flights.gold.daily", "reason": "x"},
    "ai_catalog_activate_recipient": {"secret": "hwl_x"},
    "ai_catalog_add_object_share": {"asset": "flights.silver.flights"},
    "ai_catalog_grant_share": {"recipient_id": "rcp_06e1xq0000exampe0000000000"},
    "ai_catalog_remove_object_share": {"object": "sho_06e1xq0000exampe0000000000"},
    "ai_catalog_revoke_share": {"recipient_id": "rcp_06e1xq0000exampe0000000000"},
    "ai_catalog_update_object_share": {"object": "sho_06e1xq0000exampe0000000000"},
    "ai_catalog_update_definition": {"component": "SqlTransformComponent"},
    "ai_catalog_create_artifact": {"parent": "run_06e1xq0000exampe0000000000", "path": "a", "text": "x"},
    "ai_catalog_create_artifact_upload": {"parent": "run_06e1xq0000exampe0000000000", "path": "a"},
    "ai_catalog_put_part_artifact_upload": {"number": 1, "content": "eA=="},
    "ai_catalog_presign_parts_artifact_upload": {"numbers": [1]},
    "ai_catalog_gc_artifacts": {"project": "prj_06e1xq0000exampe0000000000", "digest": "0"},
    "ai_catalog_create_logged_model": {"experiment_id": "exp_06e1xq0000exampe0000000000"},
    "ai_catalog_create_model_version": {
        "registered_model_id": "rmd_06e1xq0000exampe0000000000",
        "source": "models:/lmd_06e1xq0000exampe0000000000",
    },
    "ai_catalog_compare_model_versions": {
        "versions": ["mdv_06e1xq0000exampe0000000000", "mdv_06e1xq0000exampe0000000001"]
    },
    "ai_catalog_compare_evaluation_runs": {
        "runs": ["evr_06e1xq0000exampe0000000000", "evr_06e1xq0000exampe0000000001"]
    },
    "ai_catalog_run_evaluation": {"model_version": "mdv_06e1xq0000exampe0000000000"},
    "ai_catalog_log_metrics_logged_model": {"metrics": [{"key": "auc", "value": 0.9}]},
    "ai_catalog_request_stage_model_version": {"stage": "PRODUCTION"},
    "ai_catalog_write_card_model_version": {"text": "Not for children."},
    "ai_catalog_test_policy": {"asset": "flights.silver.flights"},
    "ai_catalog_set_alias_prompt": {"alias": "production", "version": 1},
    "ai_catalog_render_prompt_version": {"values": {"question": "x"}},
    "ai_catalog_remove_alias_prompt": {"alias": "production"},
    "ai_catalog_create_prompt_version": {
        "prompt_id": "prm_06e1xq0000exampe0000000000",
        "messages": [{"content": "Answer {{ question }}"}],
    },
    "ai_catalog_create_dataset": {"asset": "flights.silver.flights", "title": "Flights"},
    "ai_catalog_declassify_dataset": {"sensitivity": "PUBLIC", "reason": "Only totals"},
    "ai_catalog_update_dataset": {"title": "Flights"},
    "ai_catalog_link_glossary_term": {"targets": [{"id": "flights.silver.flights"}]},
    "ai_catalog_unlink_glossary_term": {"targets": [{"id": "flights.silver.flights"}]},
    "ai_catalog_assign_tag": {"targets": [{"id": "flights.silver.flights"}]},
    "ai_catalog_unassign_tag": {"targets": [{"id": "flights.silver.flights"}], "reason": "A mistake"},
    "ai_catalog_overrule_tag": {"targets": [{"id": "flights.silver.flights"}], "reason": "Only totals"},
    "ai_catalog_reinstate_tag": {"targets": [{"id": "flights.silver.flights"}]},
    "ai_catalog_set_alias_registered_model": {"alias": "champion", "version": 1},
    "ai_catalog_remove_alias_registered_model": {"alias": "champion"},
    "ai_catalog_create_run": {"experiment_id": "exp_06e1xq0000exampe0000000000"},
    "ai_catalog_move_run": {"experiment_id": "exp_06e1xq0000exampe0000000000"},
    "ai_catalog_log_inputs_run": {"inputs": [{"name": "orders", "digest": "1"}]},
    "ai_catalog_compare_runs": {"runs": ["run_06e1xq0000exampe0000000000", "run_06e1xq0000exampe0000000001"]},
    "ai_catalog_create_scorer": {
        "experiment_id": "exp_06e1xq0000exampe0000000000",
        "name": "polite",
        "definition": "{}",
    },
    "ai_catalog_upsert_records_evaluation_dataset": {"records": [{"inputs": {"question": "x"}}]},
    "ai_catalog_remove_records_evaluation_dataset": {"records": ["edr_06e1xq0000exampe0000000000"]},
    "ai_catalog_create_trace": {"experiment_id": "exp_06e1xq0000exampe0000000000", "otel_id": "1" * 32},
    "ai_catalog_link_trace": {"run": "run_06e1xq0000exampe0000000000"},
    "ai_catalog_purge_traces": {
        "experiment_id": "exp_06e1xq0000exampe0000000000",
        "traces": ["trc_06e1xq0000exampe0000000000"],
    },
    "ai_catalog_create_trace_assessment": {"trace": "trc_06e1xq0000exampe0000000000", "name": "correct"},
    "ai_catalog_preview_feature_view": {"entities": [{}], "at": ["2026-01-01T00:00:00Z"]},
    "ai_catalog_push_feature_view": {"rows": [{}], "source": "clicks"},
    "ai_catalog_online_get_feature_service": {"entities": [{}]},
    "ai_catalog_historical_feature_service": {"entities": [{}], "at": ["2026-01-01T00:00:00Z"]},
    "ai_catalog_run_queries": {"sql": "SELECT 1 AS one"},
    "ai_system_predict_model": {"instances": [{}]},
    "rag_search_index": {"query": "anything"},
}

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
    "ai_catalog.entity": (
        {"title": "Customer", "keys": [{"name": "customer", "type": "TEXT", "description": ""}]},
        {"title": "Buyer"},
    ),
    "ai_catalog.feature_service": ({"title": "Churn"}, {"title": "Loss"}),
    "ai_catalog.feature_view": ({"title": "Spending", "asset": "shop.features.spending"}, {"ttl_seconds": 60}),
    "ai_catalog.evaluation": (
        {
            "title": "Visits",
            "dataset": "flights.silver.flights",
            "thresholds": [{"name": "accuracy", "condition": "avg(CAST(correct AS INTEGER)) > 0.9", "where": ""}],
        },
        {"title": "Visits of children"},
    ),
    "ai_catalog.evaluation_dataset": ({"title": "Sums"}, {"title": "Sums of numbers"}),
    "ai_catalog.experiment": ({"title": "Trees"}, {"title": "Boosted trees"}),
    "ai_catalog.recipient": ({"title": "Acme"}, {"title": "Acme Corporation", "token_days": 30}),
    "ai_catalog.share": ({"title": "Delays"}, {"title": "Delays of flights", "comment": "Daily"}),
    "ai_catalog.registered_model": ({"title": "Price"}, {"title": "Price of a flat"}),
    "ai_catalog.glossary_term": ({"title": "Passenger"}, {"title": "Traveler", "synonyms": ["guest"]}),
    "ai_catalog.tag": ({"title": "Personal data"}, {"title": "Data about people", "values": ["email"]}),
    "ai_catalog.pipeline": ({"title": "Nightly", "assets": ["flights.gold.clean"]}, {"title": "Every night"}),
    "ai_catalog.policy": (
        {"title": "Region", "assets": ["flights.*.*"], "row_filter": "region = 'DE'"},
        {"title": "Country"},
    ),
    "ai_catalog.prompt": ({"title": "Answer"}, {"title": "Answer with sources"}),
}
"""Of each stored kind a spec to create one with, and a change of it."""

ROWS: dict[str, dict[str, Any]] = {
    "ai_catalog.branch": {"project_id": "[admin.project]", "name": "trial"},
    "ai_catalog.run": {"experiment_id": "[ai_catalog.experiment]"},
    "ai_catalog.artifact": {"parent": "[ai_catalog.run]", "path": "notes.txt", "text": "notes"},
    "ai_catalog.artifact_upload": {"parent": "[ai_catalog.run]", "path": "weights.bin"},
    "ai_catalog.logged_model": {"experiment_id": "[ai_catalog.experiment]"},
    "ai_catalog.scorer": {"experiment_id": "[ai_catalog.experiment]", "name": "polite", "definition": "{}"},
    "ai_catalog.trace": {"experiment_id": "[ai_catalog.experiment]", "otel_id": "1" * 32},
    "ai_catalog.trace_assessment": {"trace": "[ai_catalog.trace]", "name": "correct", "value": True},
    "ai_catalog.model_version": {
        "registered_model_id": "[ai_catalog.registered_model]",
        "source": "runs:/[ai_catalog.run]/notes.txt",
    },
    "ai_catalog.prompt_version": {
        "prompt_id": "[ai_catalog.prompt]",
        "messages": [{"role": "", "content": "Answer {{ question }}"}],
    },
}
"""Of each kind over a separate table that belongs to projects, a body to create one with. Ids are in brackets."""


async def add_rows(admin: Any, ids: dict[str, str]) -> None:
    """Creates an item of every such kind, and adds its id to those of the resources."""
    for kind, body in ROWS.items():
        text = json.dumps(body)
        for known, id in ids.items():
            text = text.replace(f"[{known}]", id)
        reply = await admin.post(collection(_KINDS[kind]), json.loads(text))
        assert reply.status == 201, reply.response.text
        ids[kind] = reply.json["id"]
