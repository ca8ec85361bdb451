"""The four tables of the audit log as external assets. The API copies events into them."""

import dagster as dg

from core.audit import TABLES, AuditTable
from core.ids import asset_key

OWNERS = ["team:platform"]
CODE_VERSION = "1"
"""Raise it when the API writes other columns."""


def audit_assets() -> list[dg.AssetSpec]:
    """Returns the specs of the tables. No run can materialize them; `jobs.audit_versions` records their versions."""
    return [_spec(name, table) for name, table in TABLES.items()]


def _spec(name: str, table: AuditTable) -> dg.AssetSpec:
    columns = [
        dg.TableColumn(column, type=declared.type, description=declared.description)
        for column, declared in table.columns.items()
    ]
    return dg.AssetSpec(
        key=asset_key(name),
        description=f"{table.description} The API appends rows and never changes one.",
        group_name=asset_key(name)[1],
        owners=OWNERS,
        kinds={"delta", "audit"},
        code_version=CODE_VERSION,
        metadata={"dagster/column_schema": dg.TableSchema(columns=columns)},
    )
