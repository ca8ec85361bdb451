"""Schema evolution: changes of a table's columns after their declaration changed.

A table that rows are appended to keeps its rows. Therefore only changes that keep every row are possible: a nullable
column is added, or a type becomes wider. Not every Delta reader supports types that were widened in place, so all rows
are rewritten with the wider type in one commit. Earlier versions don't change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from core.errors import SchemaMismatch
from lakehouse.committer import Write
from lakehouse.schemas import storable
from lakehouse.stored_types import canonical
from lakehouse.writes import hooks

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

    from lakehouse.snapshot import Snapshot


class Effect(StrEnum):
    """The effect of a difference between a table and its declaration."""

    ADDED = "ADDED"
    WIDENED = "WIDENED"
    UNUSED = "UNUSED"
    UNCHANGED = "KEPT"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Change:
    """One column that differs between a table and its declaration."""

    column: str
    effect: Effect
    detail: str


@dataclass(frozen=True, slots=True)
class Evolution:
    """The changes that a declaration requires of a table, and the resulting schema."""

    table: str
    changes: tuple[Change, ...]
    target: pa.Schema

    @property
    def refused(self) -> tuple[Change, ...]:
        """The changes that aren't possible."""
        return tuple(change for change in self.changes if change.effect is Effect.REFUSED)

    @property
    def needed(self) -> bool:
        """Whether the table must change."""
        return any(change.effect in (Effect.ADDED, Effect.WIDENED) for change in self.changes)

    def require(self) -> None:
        """Checks that all changes are possible.

        Raises:
            SchemaMismatch: the message lists each column with the reason, and says what to do.
        """
        if not self.refused:
            return
        reasons = "; ".join(f"{change.column} {change.detail}" for change in self.refused)
        raise SchemaMismatch(
            f"{self.table} can't be changed to these columns, and nothing was changed: {reasons}. Declare the columns "
            "as they are in the table, or give the changed definition a new asset id, so that it gets a new table.",
            errors=[{"pointer": f"/{change.column}", "detail": change.detail} for change in self.refused],
            metadata={"table": self.table, "columns": [change.column for change in self.refused]},
        )


def plan(table: str, existing: pa.Schema, declared: pa.Schema, *, empty: bool = False) -> Evolution:
    """Compares the columns of a table with the declared columns of the rows that are appended to it.

    Args:
        table: table id.
        existing: columns of the table.
        declared: columns of the rows.
        empty: whether the table has no rows. Only then can columns that aren't nullable be added.
    """
    import pyarrow as pa

    declared = storable(declared.empty_table(), table).schema
    names_in_table = {field.name.lower(): field.name for field in existing}
    fields, changes = list(existing), list[Change]()
    for field in declared:
        name = names_in_table.get(field.name.lower())
        if name is None:
            if not field.nullable and not empty:
                detail = f"is new and not nullable, but the rows of {table} have no value for it"
                changes.append(Change(field.name, Effect.REFUSED, detail))
                continue
            changes.append(Change(field.name, Effect.ADDED, f"is added as {field.type}; earlier rows have null"))
            fields.append(field.with_nullable(True))
        elif name != field.name:
            detail = f"differs from the table's column {name} only by case, which Delta ignores"
            changes.append(Change(field.name, Effect.REFUSED, detail))
        elif change := _type_change(existing.field(name), field):
            changes.append(change)
            if change.effect is Effect.WIDENED:
                position = existing.get_field_index(name)
                fields[position] = existing.field(name).with_type(field.type)
    declared_names = {field.name.lower() for field in declared}
    for field in existing:
        if field.name.lower() in declared_names:
            continue
        if field.nullable:
            detail = "is no longer declared; it stays in the table, and new rows have null"
            changes.append(Change(field.name, Effect.UNUSED, detail))
        else:
            detail = "is no longer declared, but every row of the table must have a value for it"
            changes.append(Change(field.name, Effect.REFUSED, detail))
    return Evolution(table, tuple(changes), pa.schema(fields))


def evolution_write(snapshot: Snapshot, evolution: Evolution) -> Write:
    """Returns the write that changes the columns of a table at this version.

    Raises:
        SchemaMismatch: a change isn't possible.
    """
    evolution.require()

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        import pyarrow as pa
        from deltalake import Schema, write_deltalake

        if all(change.effect is not Effect.WIDENED for change in evolution.changes):
            added = [field for field in evolution.target if field.name not in snapshot.schema.names]
            fields = Schema.from_arrow(pa.schema(added)).fields
            delta.alter.add_columns(fields, commit_properties=properties, post_commithook_properties=hooks())
            return
        rows = pa.RecordBatchReader.from_batches(evolution.target, _converted(snapshot, evolution.target))
        write_deltalake(
            delta,
            rows,
            mode="overwrite",
            schema_mode="overwrite",
            partition_by=snapshot.partition_columns or None,
            commit_properties=properties,
            post_commithook_properties=hooks(),
        )

    return Write(evolution.table, "changing the columns of", run, if_version=snapshot.version)


def filled(rows: pa.Table, target: pa.Schema) -> pa.Table:
    """Returns the rows with the columns and types of a table that has additional columns or wider types."""
    import pyarrow as pa

    names = [*target.names, *(name for name in rows.schema.names if name not in target.names)]
    fields = [target.field(name) if name in target.names else rows.schema.field(name) for name in names]
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.schema.names else pa.nulls(len(rows), field.type)
        for field in fields
    ]
    return pa.table(columns, schema=pa.schema(fields))


def _converted(snapshot: Snapshot, target: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in snapshot.batches():
        yield from filled(pa.Table.from_batches([batch]), target).to_batches()


def _type_change(existing: pa.Field, declared: pa.Field) -> Change | None:
    """Returns the effect of a declared type on an existing column; `None` if the column has that type."""
    old, new = canonical(existing.type), canonical(declared.type)
    if old == new:
        return None
    if _contains_type(new, old):
        return Change(existing.name, Effect.WIDENED, f"is widened from {old} to {new}; all rows are rewritten once")
    if _contains_type(old, new):
        return Change(existing.name, Effect.UNCHANGED, f"stays {old} in the table, which can represent every {new}")
    detail = f"is declared as {new} but is {old} in the table, and not every {old} is a {new}"
    return Change(existing.name, Effect.REFUSED, detail)


def _contains_type(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Returns whether a column of type `wide` can represent every value of type `narrow` exactly."""
    import pyarrow as pa

    types = pa.types
    if types.is_signed_integer(wide) and types.is_signed_integer(narrow):
        return bool(wide.bit_width > narrow.bit_width)
    if types.is_floating(wide) and types.is_floating(narrow):
        return bool(wide.bit_width > narrow.bit_width)
    if types.is_floating(wide) and types.is_signed_integer(narrow):
        return bool(wide.bit_width > 2 * narrow.bit_width or (wide.bit_width == 64 and narrow.bit_width == 32))
    if types.is_decimal(wide) and types.is_decimal(narrow):
        return bool(wide.scale >= narrow.scale and wide.precision - wide.scale >= narrow.precision - narrow.scale)
    return False
