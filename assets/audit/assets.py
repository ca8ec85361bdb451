"""The four tables of the audit trail as assets that something else makes: the API copies events into them."""

import dagster as dg

from core.audit import TABLES, AuditTable
from core.ids import asset_key

OWNERS = ["team:platform"]
CODE_VERSION = "1"
"""Raise it when the API begins to write other columns."""


def audit_assets() -> list[dg.AssetSpec]:
    """The specs of all of them. None can be materialized: see `jobs.audit_versions` for how they get their versions."""
    return [_spec(name, table) for name, table in TABLES.items()]


def _spec(name: str, table: AuditTable) -> dg.AssetSpec:
    columns = [
        dg.TableColumn(column, type=declared.type, description=declared.description)
        for column, declared in table.columns.items()
    ]
    return dg.AssetSpec(
        key=asset_key(name),
        description=f"{table.description} The API adds rows, and never changes one.",
        group_name=asset_key(name)[1],
        owners=OWNERS,
        kinds={"delta", "audit"},
        code_version=CODE_VERSION,
        metadata={"dagster/column_schema": dg.TableSchema(columns=columns)},
    )
