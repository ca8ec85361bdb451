"""Comparison of a recorded version with the version that a run in a branch made again from the same inputs."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lakehouse.content import digest
from lakehouse.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

COMPARISON_KEY = "headwater/comparison"
"""Key of the comparison in the definition metadata of an asset."""

_MAX_ROWS_WITH_FILES = 20
"""Number of rows up to which the digests of binary values are reported."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rules by which two results of the same asset are equal. The component of the asset declares them."""

    appends: bool = False
    """Whether a version adds rows that don't depend on the rows before. Only the rows that it added are compared."""
    varying: tuple[str, ...] = ()
    """Columns that differ between equal results, such as times and generated ids."""
    matched_by: tuple[str, ...] = ()
    """Columns that select the rows to compare, if a run adds more rows than one version."""
    refusal: str = ""
    """Reason why no version of the asset can be made again; empty if versions can."""

    def to_json(self) -> str:
        """Returns the rules as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Reads rules from JSON."""
        values = json.loads(text)
        return cls(values["appends"], tuple(values["varying"]), tuple(values["matched_by"]), values["refusal"])


@dataclass(frozen=True, slots=True)
class Difference:
    """The result of a comparison."""

    recorded_digest: str | None
    """Digest of the compared rows of the recorded version; `None` if they are too large or have no order."""
    reproduced_digest: str | None
    recorded_rows: int
    reproduced_rows: int
    columns: tuple[str, ...] = ()
    """Columns that have other values or another type, or that only one of the versions has."""
    only_recorded: int | None = 0
    """Number of rows that only the recorded version has; `None` if they can't be counted."""
    only_reproduced: int | None = 0
    files: Mapping[str, tuple[list[str], list[str]]] | None = None
    """SHA-256 digests of the binary values of few rows, recorded and reproduced, by column. A model is such a value."""

    @property
    def equal(self) -> bool:
        """Whether both versions have the same rows."""
        return self.recorded_digest is not None and self.recorded_digest == self.reproduced_digest


def compare(
    recorded: Snapshot, before: Snapshot | None, reproduced: Snapshot | None, comparison: Comparison
) -> Difference:
    """Compares a recorded version with one that was made again.

    Args:
        recorded: the recorded version.
        before: the version before it; `None` if it is the first one.
        reproduced: the version that was made again; `None` if no table was written.
        comparison: the rules of the asset.
    """
    expected = added_rows(recorded, before) if comparison.appends else recorded.to_arrow()
    actual = expected.slice(0, 0) if reproduced is None else reproduced.to_arrow()
    if comparison.matched_by:
        actual = _matching(actual, expected, comparison.matched_by)
    expected, actual = (_comparable(rows, comparison) for rows in (expected, actual))
    difference = Difference(
        digest(expected), digest(actual), expected.num_rows, actual.num_rows, files=_files(expected, actual)
    )
    if difference.equal:
        return difference
    only_recorded, only_reproduced = _row_counts(expected, actual)
    return Difference(
        difference.recorded_digest,
        difference.reproduced_digest,
        expected.num_rows,
        actual.num_rows,
        tuple(_differing_columns(expected, actual)),
        only_recorded,
        only_reproduced,
        difference.files,
    )


def added_rows(snapshot: Snapshot, before: Snapshot | None) -> pa.Table:
    """Returns the rows that a version appended to the version before it."""
    if before is None:
        return snapshot.to_arrow()
    return snapshot.rows_without(set(before.paths))


def _comparable(rows: pa.Table, comparison: Comparison) -> pa.Table:
    import pyarrow as pa

    rows = rows.drop_columns([name for name in comparison.varying if name in rows.schema.names])
    if not comparison.appends:
        return rows
    # An old table keeps the comments and the order of columns with which it was created.
    names = sorted(rows.schema.names)
    fields = [rows.schema.field(name).remove_metadata().with_nullable(True) for name in names]
    return pa.table([rows[name] for name in names], schema=pa.schema(fields))


def _matching(rows: pa.Table, expected: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Returns the rows that have the same values in some columns as one of the expected rows."""
    import pyarrow as pa

    wanted = {tuple(row.values()) for row in expected.select(list(columns)).to_pylist()}
    if missing := [name for name in columns if name not in rows.schema.names]:
        raise ValueError(f"the reproduced rows have no column {missing[0]}")
    found = [tuple(row.values()) in wanted for row in rows.select(list(columns)).to_pylist()]
    return rows.filter(pa.array(found, pa.bool_()))


def _differing_columns(expected: pa.Table, actual: pa.Table) -> list[str]:
    names = dict.fromkeys([*expected.schema.names, *actual.schema.names])
    return [name for name in names if not _same_column(expected, actual, name)]


def _same_column(expected: pa.Table, actual: pa.Table, name: str) -> bool:
    if name not in expected.schema.names or name not in actual.schema.names:
        return False
    return digest(expected.select([name])) == digest(actual.select([name]))


def _row_counts(expected: pa.Table, actual: pa.Table) -> tuple[int | None, int | None]:
    """Returns the numbers of rows that only one of the tables has, by hashes of the rows."""
    import polars as pl

    names = [name for name in expected.schema.names if name in actual.schema.names]
    if not names:
        return expected.num_rows, actual.num_rows
    try:
        hashes = [
            Counter(pl.DataFrame(pl.from_arrow(rows.select(names))).hash_rows().to_list())
            for rows in (expected, actual)
        ]
    except pl.exceptions.PolarsError:
        return None, None
    return (hashes[0] - hashes[1]).total(), (hashes[1] - hashes[0]).total()


def _files(expected: pa.Table, actual: pa.Table) -> Mapping[str, tuple[list[str], list[str]]]:
    import pyarrow as pa

    if max(expected.num_rows, actual.num_rows) > _MAX_ROWS_WITH_FILES:
        return {}
    return {
        field.name: (_digests(expected, field.name), _digests(actual, field.name))
        for field in expected.schema
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    }


def _digests(rows: pa.Table, column: str) -> list[str]:
    if column not in rows.schema.names:
        return []
    return [hashlib.sha256(value).hexdigest() for value in rows[column].to_pylist() if value is not None]
