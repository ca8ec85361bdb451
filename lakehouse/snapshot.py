"""A table at one version: resolved once, immutable, read by Polars, Arrow or DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property, reduce
from operator import and_
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lakehouse.faults import translated
from lakehouse.schemas import require_columns
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable


class Snapshot:
    """Immutable view of one table at one version."""

    def __init__(self, table: str, delta: DeltaTable, storage: Storage) -> None:
        self.table = table
        self._storage = storage
        self._delta = delta
        self.version = delta.version()
        metadata = delta.metadata()
        self.table_id = str(metadata.id)
        self.description = str(metadata.description or "")
        self.partition_columns = list(metadata.partition_columns)
        self.properties = dict(metadata.configuration)

    def __repr__(self) -> str:
        return f"Snapshot({self.table}, {self.data_version})"

    @property
    def data_version(self) -> str:
        """`<table id>@<version>`."""
        return f"{self.table_id}@{self.version}"

    @property
    def uri(self) -> str:
        """Location of the table."""
        return str(self._delta.table_uri)

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow schema of the table at this version."""
        import pyarrow as pa

        return pa.schema(self._delta.schema().to_arrow())

    @property
    def constraints(self) -> dict[str, str]:
        """Check constraints: name to SQL condition."""
        prefix = "delta.constraints."
        return {k.removeprefix(prefix): v for k, v in self.properties.items() if k.startswith(prefix)}

    @cached_property
    def row_count(self) -> int:
        """Number of rows, from file statistics; counted where a file has none."""
        counts = self._files.column("num_records").to_pylist()
        if self.has_deletion_vectors or any(count is None for count in counts):
            import polars as pl

            return int(self.scan().select(pl.len()).collect().item())
        return sum(int(count) for count in counts)

    @cached_property
    def size_bytes(self) -> int:
        """Size of the data files of this version, compressed."""
        return sum(int(size) for size in self._files.column("size_bytes").to_pylist())

    @property
    def file_count(self) -> int:
        """Number of data files of this version."""
        return int(self._files.num_rows)

    @cached_property
    def _files(self) -> pa.Table:
        import pyarrow as pa

        return pa.table(self._delta.get_add_actions())

    @cached_property
    def paths(self) -> list[str]:
        """Paths of the data files, relative to the table, in log order."""
        return [str(path) for path in self._files.column("path").to_pylist()]

    @property
    def has_deletion_vectors(self) -> bool:
        """Whether files may hold rows that are deleted (written so by Spark)."""
        return "deletionVectors" in (self._delta.protocol().reader_features or [])

    def scan(self) -> pl.LazyFrame:
        """Lazy Polars frame: filters and columns are pushed down to the files."""
        import polars as pl

        with translated(self.table, "reading"):
            return pl.scan_delta(self._delta)

    def scan_without(self, paths: AbstractSet[str]) -> pl.LazyFrame:
        """As `scan`, but only the files that are not among `paths`."""
        import polars as pl
        import pyarrow.dataset as ds

        whole = self.dataset()
        kept = [fragment for fragment in whole.get_fragments() if unquote(fragment.path) not in paths]
        subset = ds.FileSystemDataset(kept, whole.schema, whole.format, whole.filesystem)
        with translated(self.table, "reading"):
            return pl.DataFrame(subset.to_table()).lazy()

    def to_arrow(self, *, columns: Sequence[str] | None = None, limit: int | None = None, offset: int = 0) -> pa.Table:
        """Rows as an Arrow table, files in log order.

        Raises:
            UnknownColumn: names the column and those that exist.
            UnknownVersion: data files of this version were vacuumed.
        """
        require_columns(self.table, self.schema.names, list(columns or ()))
        names = list(self.schema.names if columns is None else columns)
        with translated(self.table, "reading"):
            if limit is None and not offset and not self.has_deletion_vectors:
                return self.dataset().to_table(columns=names)
            page = self.scan().select(names).slice(offset, limit).collect()
            return _typed(page, self.schema, names)

    def dataset(self) -> ds.Dataset:
        """Arrow dataset, for engines that push filters and columns into Arrow (DuckDB)."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        with translated(self.table, "reading"):
            if self.has_deletion_vectors:  # Arrow's own reader would show the deleted rows
                return ds.dataset(pa.RecordBatchReader.from_stream(self._delta.scan()).read_all())
            return _trusted(
                self._delta.to_pyarrow_dataset(filesystem=self._storage.filesystem(self.table)), self._files
            )


def _trusted(dataset: ds.FileSystemDataset, actions: pa.Table) -> ds.Dataset:
    """Takes wrong promises off files: delta-rs states an absent bound as `column >= null`, which skips the file.

    Any file without statistics of a column (a long text, NaN, Spark beyond its 32nd column) next to one with them is
    affected. What is left of its promise are the partition values.
    """
    import pyarrow.dataset as ds

    fragments = list(dataset.get_fragments())
    doubtful = [number for number, fragment in enumerate(fragments) if "null[" in str(fragment.partition_expression)]
    if not doubtful:
        return dataset
    partitions = _partitions(actions)
    for number in doubtful:
        path = fragments[number].path
        fragments[number] = dataset.format.make_fragment(
            path, dataset.filesystem, partition_expression=partitions.get(unquote(path))
        )
    return ds.FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)


def _partitions(actions: pa.Table) -> dict[str, ds.Expression]:
    """Partition values of each file as a condition, by path."""
    import pyarrow.dataset as ds

    if "partition" not in actions.column_names:
        return {}
    conditions = {}
    for path, values in zip(actions["path"].to_pylist(), actions["partition"].combine_chunks(), strict=True):
        terms = [
            ds.field(name) == value if value.is_valid else ds.field(name).is_null() for name, value in values.items()
        ]
        if terms:
            conditions[unquote(path)] = reduce(and_, terms)
    return conditions


def _typed(frame: pl.DataFrame, schema: pa.Schema, names: Sequence[str]) -> pa.Table:
    """A Polars frame with the table's own Arrow types (Polars spells strings differently)."""
    import pyarrow as pa

    return pa.table(frame).cast(pa.schema([schema.field(name).with_nullable(True) for name in names]))
