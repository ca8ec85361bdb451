"""Alterations of a table: new columns and check constraints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import Conflict, ConstraintViolated, InvalidArgument
from lakehouse.committer import Write
from lakehouse.faults import translated
from lakehouse.schemas import require_storable
from lakehouse.stored_types import stored
from lakehouse.writes import hooks, quoted, schema_of

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable


def add_columns(table: str, columns: Sequence[pa.Field]) -> Write:
    """Returns a write that adds nullable columns."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        import pyarrow as pa
        from deltalake import Schema

        require_storable(pa.schema(list(columns)), table)
        existing = {name.lower() for name in schema_of(delta).names}
        if taken := [column.name for column in columns if column.name.lower() in existing]:
            raise Conflict(f"{table} already has columns named {', '.join(taken)}. Choose other names.")
        nullable = [column.with_type(stored(column.type)).with_nullable(True) for column in columns]
        fields = Schema.from_arrow(pa.schema(nullable)).fields
        delta.alter.add_columns(fields, commit_properties=properties, post_commithook_properties=hooks())

    return Write(table, "adding columns to", run)


def add_constraint(table: str, name: str, condition: str) -> Write:
    """Returns a write that adds a check constraint."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        if f"delta.constraints.{name}" in delta.metadata().configuration:
            raise Conflict(f"{table} already has a constraint named {name}. Drop it first, or choose another name.")
        literals = [column for column in schema_of(delta).names if column.lower() in ("true", "false")]
        if any(quoted(column) in condition for column in literals):
            # delta-rs stores the condition without the quotes, so that the name becomes the truth value.
            raise InvalidArgument(f"A constraint of {table} can't use the column {literals[0]}. Rename the column.")
        try:
            with translated(table, "adding a constraint to"):
                delta.alter.add_constraint(
                    {name: condition}, commit_properties=properties, post_commithook_properties=hooks()
                )
        except ConstraintViolated as error:
            raise ConstraintViolated(
                f"Constraint {name} ({condition}) was not added to {table}: existing rows violate it. "
                "Correct or delete them first.",
                metadata={"table": table, "constraints": [name]},
            ) from error

    return Write(table, "adding a constraint to", run)


def drop_constraint(table: str, name: str) -> Write:
    """Returns a write that drops a check constraint. It does nothing if there is no constraint with this name."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        delta.alter.drop_constraint(
            name, raise_if_not_exists=False, commit_properties=properties, post_commithook_properties=hooks()
        )

    return Write(table, "dropping a constraint of", run)
