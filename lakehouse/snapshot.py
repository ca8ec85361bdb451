"""Snapshot: a table at one version, read by Polars, Arrow, or DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakehouse import features
from lakehouse.data_files import DataFiles, Layout
from lakehouse.faults import translated
from lakehouse.polars_handle import polars_handle
from lakehouse.rows import Rows
from lakehouse.schemas import require_columns
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable
    from pyarrow import NativeFile


class Snapshot:
    """Immutable view of one table at one version.

    Raises:
        UnsupportedTable: the table uses Delta features that the platform doesn't read. The message names them.
    """

    def __init__(self, table: str, delta: DeltaTable, storage: Storage, cache: dict[str, Any] | None = None) -> None:
        """Creates the view. `cache` is shared by the snapshots of the version."""
        self._cache = {} if cache is None else cache
        if "readable" not in self._cache:
            features.require_readable(table, delta)
            self._cache["readable"] = True
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
        return self._files.logical

    @property
    def physical_names(self) -> dict[str, str]:
        """Names that the columns have in the data files and the log, by their names in the table."""
        return dict(zip(self.schema.names, self._files.schema.names, strict=True))

    @property
    def has_deletions(self) -> bool:
        """Whether rows of the files are deleted by deletion vectors."""
        return bool(self._files.deletions)

    @property
    def column_mapping(self) -> str:
        """Mode of column mapping, `name` or `id`; an empty string if the files have the names of the table."""
        return features.mapping_mode(self._delta)

    @property
    def schema_json(self) -> str:
        """Schema as JSON, as in the log."""
        return str(self._delta.schema().to_json())

    @property
    def protocol(self) -> dict[str, Any]:
        """Protocol action of the log."""
        protocol = self._delta.protocol()
        values: dict[str, Any] = {
            "minReaderVersion": protocol.min_reader_version,
            "minWriterVersion": protocol.min_writer_version,
        }
        named = {"readerFeatures": protocol.reader_features, "writerFeatures": protocol.writer_features}
        return values | {name: list(features) for name, features in named.items() if features is not None}

    @property
    def constraints(self) -> dict[str, str]:
        """Check constraints: name to SQL condition."""
        prefix = "delta.constraints."
        return {k.removeprefix(prefix): v for k, v in self.properties.items() if k.startswith(prefix)}

    @cached_property
    def row_count(self) -> int:
        """Number of rows, from file statistics; counted if a file has none."""
        count = self._files.row_count()
        return self._rows.table(self.schema.names[:1]).num_rows if count is None else count

    @cached_property
    def size_bytes(self) -> int:
        """Size of the data files of this version, compressed."""
        return sum(int(size) for size in self._files.actions.column("size_bytes").to_pylist())

    @property
    def file_count(self) -> int:
        """Number of data files of this version."""
        return len(self._files.paths)

    def files(self) -> list[tuple[dict[str, Any], int]]:
        """Returns the partition values and the number of rows of each data file, by the names of the table.

        Raises:
            UnsupportedTable: the log doesn't contain the number of rows of a file.
        """
        names = {physical: name for name, physical in self.physical_names.items()}
        counts = self._files.row_counts()
        if counts is None:
            raise features.unsupported(self.table, "read", ["data files without a number of rows"])
        values = ({names[name]: value.as_py() for name, value in row.items()} for row in self._files.partitions)
        return list(zip(values, counts, strict=True))

    @property
    def paths(self) -> list[str]:
        """Paths of the data files, relative to the table, in the order and the encoding of the log."""
        return self._files.encoded_paths

    @cached_property
    def plain(self) -> bool:
        """Whether a Parquet reader that doesn't know the log reads the right rows from the files.

        Reads the footers of files that are new to this process.

        Raises:
            UnsupportedTable: the platform doesn't read the table. The message names the feature or the files.
        """
        return not self._rows.by_fragment and self._files.layout is Layout.PLAIN

    @property
    def comparable_by_file(self) -> bool:
        """Whether a file that two versions share contributes the same rows to both."""
        return not self._rows.by_fragment

    def open_file(self, path: str) -> NativeFile:
        """Opens a file below the location of the table for reading. Raises `OSError` as the file system."""
        return self._files.filesystem.open_input_file(path)

    def scan(self) -> pl.LazyFrame:
        """Returns a lazy Polars frame. Plain files get filters and columns pushed down, other files only columns."""
        import polars as pl

        with translated(self.table, "reading"):
            if self.plain:
                return pl.scan_delta(polars_handle(self._delta, self._files.trusted_actions))
            if self._files.layout is Layout.UNCERTAIN:
                return pl.DataFrame(self.to_arrow()).lazy()
            return self._rows.lazy()

    def scan_without(self, paths: AbstractSet[str]) -> pl.LazyFrame:
        """Returns the rows of the files that aren't in `paths`. Only for versions that are comparable by file."""
        import polars as pl

        return pl.DataFrame(self.rows_without(paths)).lazy()

    def rows_without(self, paths: AbstractSet[str]) -> pa.Table:
        """Returns the rows of the files that aren't in `paths` as Arrow. Only for versions comparable by file."""
        return self._rows.table(self.schema.names, without=paths)

    def to_arrow(self, *, columns: Sequence[str] | None = None, limit: int | None = None, offset: int = 0) -> pa.Table:
        """Returns rows as an Arrow table, files in log order.

        Args:
            columns: columns to read; all by default.
            limit: maximum number of rows.
            offset: number of rows to skip.

        Raises:
            UnknownColumn: a column doesn't exist. The message lists the existing ones.
            UnknownVersion: a vacuum deleted data files of this version.
            UnsupportedTable: a data file contains values that the table's schema doesn't allow.
        """
        require_columns(self.table, self.schema.names, list(columns or ()))
        names = list(self.schema.names if columns is None else columns)
        if limit is None and not offset:
            return self._rows.table(names)
        if self.plain:
            with translated(self.table, "reading"):
                page = self.scan().select(names).slice(offset, limit).collect()
            return _with_schema(page, self.schema, names)
        return self._rows.page(names, offset, limit)

    def batches(self, columns: Sequence[str] | None = None, *, by_path: bool = False) -> pa.RecordBatchReader:
        """Returns a stream of all rows, files in log order, or in the order of their paths.

        Args:
            columns: columns to read; all by default.

        Raises:
            UnknownColumn: a column doesn't exist. The message lists the existing ones.
            UnsupportedTable: a data file contains values that the table's schema doesn't allow.
        """
        import pyarrow as pa

        require_columns(self.table, self.schema.names, list(columns or ()))
        names = list(self.schema.names if columns is None else columns)
        if self._files.layout is Layout.UNCERTAIN:  # an error in the middle of a stream would come too late
            return self._rows.table(names, by_path=by_path).to_reader()
        self._files.resolve()
        return pa.RecordBatchReader.from_batches(self._rows.selected(names), self._rows.batches(names, by_path=by_path))

    def dataset(self) -> ds.Dataset:
        """Returns an Arrow dataset, for engines that push filters and columns into Arrow (DuckDB)."""
        import pyarrow.dataset as ds

        with translated(self.table, "reading"):
            # Within an engine, an error would lose its class. Therefore files that may cause errors are read now.
            if self._rows.by_fragment or self._files.layout is Layout.UNCERTAIN:
                return ds.dataset(self.to_arrow())
            return self._rows.dataset()

    @cached_property
    def _files(self) -> DataFiles:
        return DataFiles(self.table, self._delta, self._storage, self._cache)

    @cached_property
    def _rows(self) -> Rows:
        return Rows(self.table, self._files, self.schema)


def _with_schema(frame: pl.DataFrame, schema: pa.Schema, names: Sequence[str]) -> pa.Table:
    """Converts a Polars frame to the Arrow types of the table. Polars uses other types of strings."""
    import pyarrow as pa

    return pa.table(frame).cast(pa.schema([schema.field(name).with_nullable(True) for name in names]))
