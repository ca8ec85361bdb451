"""Schema evolution of existing tables by a definition, evaluated before the definition is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assets.declaration import TableComponent
from lakehouse.evolution import Change, Effect, plan

if TYPE_CHECKING:
    from lakehouse.tables import Tables


@dataclass(frozen=True, slots=True)
class SchemaChanges:
    """Faults that keep the definition from being published, and schema changes that its next run makes.

    Each is `{"pointer", "detail"}`. A change also has its `table`, `column`, and `effect`.
    """

    faults: list[Mapping[str, Any]]
    changes: list[Mapping[str, Any]]


def schema_changes(declared: TableComponent, tables: Tables) -> SchemaChanges:
    """Compares the schemas of the rows that a definition appends with the schemas of the existing tables."""
    result = SchemaChanges([], [])
    for table, schema in declared.appended().items():
        if not tables.exists(table):
            continue
        snapshot = tables.snapshot(table)
        for change in plan(table, snapshot.schema, schema, empty=snapshot.row_count == 0).changes:
            pointer = _pointer(declared, change)
            if change.effect is Effect.REFUSED:
                advice = (
                    f"Declare the column as in the table {table}, or use another asset id for the definition to start "
                    "with a new table."
                )
                detail = f"{change.column} {change.detail}. {advice}"
                result.faults.append({"pointer": pointer, "detail": detail})
            else:
                facts = {"table": table, "column": change.column, "effect": change.effect.value}
                result.changes.append({"pointer": pointer, "detail": f"{change.column} {change.detail}.", **facts})
    return result


def _pointer(declared: TableComponent, change: Change) -> str:
    """Returns the pointer to the declaration of a column, or to the component if the component determines it."""
    columns = getattr(declared, "columns", {})
    if change.column in columns:
        return f"/attributes/columns/{change.column}/type"
    return "/attributes/columns" if columns else "/component"
