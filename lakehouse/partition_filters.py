"""Filters by partition values, which leave out whole files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from core.errors import InvalidArgument, SchemaMismatch
from lakehouse.expressions import require_condition, row_expression
from lakehouse.schemas import require_columns

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.snapshot import Snapshot


class PartitionFilter:
    """A condition over partition columns."""

    def __init__(self, condition: str, snapshot: Snapshot) -> None:
        """Checks a condition against the columns of a version. An empty condition keeps all files.

        Raises:
            InvalidArgument: the text isn't a condition, or uses no partition column or another column.
            UnknownColumn: the table doesn't have a column of the condition.
            SchemaMismatch: the condition doesn't match the types, or a type has no unambiguous text.
        """
        self._condition = condition
        self._physical = snapshot.physical_names
        self._types = {name: snapshot.schema.field(name).type for name in snapshot.partition_columns}
        self._names: list[str] = []
        if not condition:
            return
        self._names = sorted(row_expression(condition).meta.root_names())
        require_columns(snapshot.table, snapshot.schema.names, self._names)
        partitions = ", ".join(snapshot.partition_columns) or "none"
        others = [name for name in self._names if name not in self._types]
        if others or not self._names:
            fault = f"{others[0]} is none" if others else "it uses none"
            raise InvalidArgument(
                f"The filter {condition!r} can use only columns that {snapshot.table} is partitioned by "
                f"({partitions}), so that whole files are left out: {fault}. To share only some rows of a file, make a "
                "table of these rows.",
                metadata={"table": snapshot.table, "partition_columns": list(snapshot.partition_columns)},
            )
        for name in self._names:
            _require_text(snapshot.table, name, str(self._types[name]))
        require_condition(condition, self._frame([]))

    @property
    def columns(self) -> Sequence[str]:
        """The columns that the condition uses."""
        return self._names

    def matches(self, values: Sequence[Mapping[str, str | None]]) -> list[bool]:
        """Returns whether files with these partition values, as texts in the log, meet the condition.

        A condition whose value is unknown, such as a comparison with null, isn't met.
        """
        if not self._condition:
            return [True] * len(values)
        import polars as pl

        frame = self._frame(values)
        try:
            met = frame.select(row_expression(self._condition).fill_null(value=False).alias("met"))["met"]
        except pl.exceptions.PolarsError as error:
            raise SchemaMismatch(f"{self._condition!r} can't be computed: {str(error).splitlines()[0]}") from error
        return [bool(met[number if len(met) == len(values) else 0]) for number in range(len(values))]

    def rows(self, rows: pa.Table) -> pa.Table:
        """Returns the rows, with all columns of the table, whose partitions meet the condition.

        Raises:
            SchemaMismatch: the condition can't be computed.
        """
        if not self._condition:
            return rows
        import polars as pl

        frame = pl.DataFrame(rows.select(self._names))
        try:
            met = frame.select(row_expression(self._condition).fill_null(value=False).alias("met"))["met"]
        except pl.exceptions.PolarsError as error:
            raise SchemaMismatch(f"{self._condition!r} can't be computed: {str(error).splitlines()[0]}") from error
        constant = len(met) != rows.num_rows
        return rows.slice(0, rows.num_rows if met[0] else 0) if constant else rows.filter(met.to_arrow())

    def _frame(self, values: Sequence[Mapping[str, str | None]]) -> pl.DataFrame:
        import polars as pl
        import pyarrow as pa

        columns = {}
        for name in self._names:
            texts = pa.array([row.get(self._physical.get(name, name)) for row in values], pa.string())
            columns[name] = texts.cast(self._types[name])
        return pl.DataFrame(pa.table(columns))


def _require_text(table: str, name: str, kind: str) -> None:
    if not (kind in ("string", "large_string", "bool", "date32[day]") or kind.startswith("int")):
        raise SchemaMismatch(
            f"{table} can't be filtered by {name}, which has the type {kind}: in the log, only texts, integers, dates, "
            "and booleans have one form."
        )
