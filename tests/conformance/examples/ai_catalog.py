"""Examples of the AI catalog service, for the conformance suite."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.lineage_events import dataset, event

LINEAGE_EVENT = event("COMPLETE", inputs=[dataset("pg", "a")], outputs=[dataset("pg", "b")])

BODIES: dict[str, dict[str, Any]] = {
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
    "ai_catalog_store_split_asset": {"name": "by_carrier", "by": ["carrier"]},
    "ai_catalog_create_subscription": {"asset": "flights.silver.flights"},
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
    "ai_catalog_retrieve_feature_service": {
        "name": "churn_rows",
        "rows": {"entities": [{}], "at": ["2026-01-01T00:00:00Z"]},
    },
    "ai_catalog_run_queries": {"sql": "SELECT 1 AS one"},
}
"""A valid body of each operation that requires one, with made-up ids."""


DRAFTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
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
    "ai_catalog.saved_query": ({"title": "Delays", "sql": "SELECT 1 AS one"}, {"title": "Delays by carrier"}),
}
"""A spec to create each stored kind with, and a change of it."""


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
"""A body to create an item of each kind over a separate table that belongs to projects."""


BODIES_WITH_REFERENCES: dict[str, dict[str, Any]] = {
    "ai_catalog_gc_artifacts": {"project": "[admin.project]", "digest": hashlib.sha256(b"").hexdigest()},
    "ai_catalog_create_branch": {"project_id": "[admin.project]", "name": "second-trial"},
    "ai_catalog_create_lineage_event": {"event": LINEAGE_EVENT, "project_id": "[admin.project]"},
    "ai_catalog_ingest_lineage_events": {"events": [LINEAGE_EVENT], "project_id": "[admin.project]"},
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
    "ai_catalog_create_contract": {
        "asset": "acme.silver.flights",
        "contact": "team:data",
        "terms": {},
        "teams": ["[admin.group]"],
    },
    "ai_catalog_consent_contract": {"team": "[admin.group]"},
    "ai_catalog_create_subscription": {"registered_model_id": "[ai_catalog.registered_model]"},
    "ai_catalog_statistics_traces": {"experiments": ["[ai_catalog.experiment]"]},
}
"""A body of each operation that takes references, with all of its references. Ids are in brackets."""


SPECS_WITH_REFERENCES: dict[str, dict[str, Any]] = {
    "ai_catalog.feature_service": {
        "views": [{"view_id": "[ai_catalog.feature_view]", "features": [], "version": None}]
    },
    "ai_catalog.evaluation": {
        "dataset": "",
        "evaluation_dataset_id": "[ai_catalog.evaluation_dataset]",
        "accepts_external": True,
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
}
"""The references in the spec of each stored kind that has them. Ids are in brackets."""
