"""Examples of the connections service, for the conformance suite."""

from __future__ import annotations

from typing import Any

_CONFIG = {"host": "db.example.org", "database": "orders", "user": "headwater"}

BODIES: dict[str, dict[str, Any]] = {
    "connections_put_version_secret": {"value": "x"},
    "connections_roll_back_secret": {"version": 1},
    "connections_destroy_version_secret": {"version": 1},
    "connections_create_health_monitor": {"connection_id": "con_06e1xq0000exampe0000000000"},
    "connections_evaluate_egress_policies": {
        "project_id": "prj_06e1xq0000exampe0000000000",
        "host": "127.0.0.1",
        "port": 5432,
    },
    "connections_clone_connection": {"name": "copy"},
    "connections_rotate_credential_connection": {"field": "password"},
    **{
        f"connections_{verb}_connection": {"schema_name": "public", "table_name": "orders"}
        for verb in ("columns", "describe", "statistics", "sample")
    },
    "connections_tables_connection": {"schema_name": "public"},
    "connections_query_connection": {"sql": "SELECT 1"},
    "connections_explain_connection": {"sql": "SELECT 1"},
    "connections_test_draft_connections": {"project_id": "prj_06e1xq0000exampe0000000000", "connector": "postgresql"},
    "connections_check_overlap_external_locations": {
        "project_id": "prj_06e1xq0000exampe0000000000",
        "url": "s3://lake/raw/",
    },
    "connections_resolve_external_locations": {"url": "s3://lake/raw/a.csv"},
    "connections_revoke_all_leases": {"external_location_id": "exl_06e1xq0000exampe0000000000"},
}
"""A valid body of each operation that requires one, with made-up ids."""

DRAFTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "connections.connection": (
        {"title": "Orders", "connector": "postgresql", "config": _CONFIG},
        {"title": "Orders of the shop"},
    ),
    "connections.egress_policy": ({"title": "Only the office", "denied": ["10.0.0.0/8"]}, {"ports": [5432]}),
    "connections.secret": ({"title": "Password of the shop"}, {"rotate_after_days": 90}),
    "connections.storage_credential": (
        {"title": "Lake", "config": {"access_key_id": "AKIA"}},
        {"title": "Lake of the shop"},
    ),
}
"""A spec to create each stored kind with, and a change of it."""

_LOCATION = {
    "project_id": "[admin.project]",
    "name": "raw",
    "title": "Raw files",
    "url": "s3://lake/raw/",
    "storage_credential_id": "[connections.storage_credential]",
}

ROWS: dict[str, dict[str, Any]] = {
    "connections.health_monitor": {"connection_id": "[connections.connection]"},
    "connections.external_location": _LOCATION,
}
"""A body to create an item of each kind over a separate table that belongs to projects."""

BODIES_WITH_REFERENCES: dict[str, dict[str, Any]] = {
    "connections_create_health_monitor": {"connection_id": "[connections.connection]"},
    "connections_evaluate_egress_policies": {"project_id": "[admin.project]", "host": "127.0.0.1", "port": 5432},
    "connections_test_draft_connections": {
        "project_id": "[admin.project]",
        "connector": "postgresql",
        "config": _CONFIG,
        "secrets": {"password": "[connections.secret]"},
    },
    "connections_create_external_location": _LOCATION | {"name": "second", "url": "s3://second/"},
    "connections_update_external_location": {"storage_credential_id": "[connections.storage_credential]"},
    "connections_check_overlap_external_locations": {"project_id": "[admin.project]", "url": "s3://other/"},
    "connections_revoke_all_leases": {"external_location_id": "[connections.external_location]"},
}
"""A body of each operation that takes references, with all of its references. Ids are in brackets."""

SPECS_WITH_REFERENCES: dict[str, dict[str, Any]] = {
    "connections.connection": {"secrets": {"password": "[connections.secret]"}},
    "connections.egress_policy": {"projects": ["[admin.project]"]},
    "connections.storage_credential": {"secrets": {"secret_access_key": "[connections.secret]"}},
}
"""The references in the spec of each stored kind that has them. Ids are in brackets."""
