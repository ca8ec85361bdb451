"""The data files of a table at one version: paths, statistics, partition values, and deleted rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import IntEnum
from functools import cached_property, reduce
from operator import and_
from typing import TYPE_CHECKING, Any, TypeVar, cast

from core.errors import UnsupportedTable
from lakehouse import features
from lakehouse.bounds import file_conditions, with_trusted_bounds
from lakehouse.data_paths import contains_partitions, decoded_path, is_outside, relative_path
from lakehouse.faults import translated
from lakehouse.footers import ColumnPath, Footer, footers
from lakehouse.storage import Storage
from lakehouse.stored_types import agrees, widens

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

T = TypeVar("T")
_OUTSIDE_FILES = "data files outside of its folder, such as those of a shallow clone"


class Layout(IntEnum):
    """How the columns of the files differ from the table's schema."""

    PLAIN = 0
    """The files have the columns and the types of the table."""
    WIDENED = 1
    """All values can be converted without loss. Examples: narrower numbers, INT96, partition values not in paths."""
    UNCERTAIN = 2
    """Whether a value can be converted depends on the value."""


class DataFiles:
    """Data files of one version, in log order."""

    def __init__(self, table: str, delta: DeltaTable, storage: Storage, cache: dict[str, Any] | None = None) -> None:
        self._table, self._delta, self._storage = table, delta, storage
        self._cache = {} if cache is None else cache
        """Values that the snapshots of a version share. It must not contain the table."""

    @cached_property
    def logical(self) -> pa.Schema:
        """The table's schema."""
        return self._cached("logical", lambda: features.arrow_schema(self._delta))

    @cached_property
    def actions(self) -> pa.Table:
        """The files as delta-rs lists them.

        Raises:
            UnsupportedTable: files are outside of the table's folder.
        """
        return self._cached("actions", self._list_actions)

    @cached_property
    def trusted_actions(self) -> pa.Table:
        """The files with the statistics that can be trusted."""
        return self._cached("trusted_actions", lambda: with_trusted_bounds(self.actions, self.logical))

    @cached_property
    def encoded_paths(self) -> list[str]:
        """Paths below the table's location, URL-encoded as in the log."""
        return self._cached("encoded_paths", lambda: [str(path) for path in self.actions["path"].to_pylist()])

    @cached_property
    def paths(self) -> list[str]:
        """Paths below the table's location."""
        return self._cached("paths", lambda: list(map(decoded_path, self.encoded_paths)))

    def _list_actions(self) -> pa.Table:
        import pyarrow as pa

        with translated(self._table, "opening"):
            actions = pa.table(self._delta.get_add_actions())
        if any(is_outside(decoded_path(str(path))) for path in actions["path"].to_pylist()):
            raise features.unsupported(self._table, "read", [_OUTSIDE_FILES])
        return actions

    def _cached(self, name: str, compute: Callable[[], T]) -> T:
        if name not in self._cache:
            self._cache[name] = compute()
        return cast("T", self._cache[name])

    @cached_property
    def mapped(self) -> bool:
        """Whether column names in the files differ from those of the table (column mapping)."""
        return self._cached("mapped", lambda: bool(features.mapping_mode(self._delta)))

    @cached_property
    def deletions(self) -> dict[int, pa.Array]:
        """Row masks by position of the file, for files with deleted rows. Rows after the end of a mask exist."""
        return self._cached("deletions", self._read_deletions)

    def _read_deletions(self) -> dict[int, pa.Array]:
        import pyarrow as pa

        if "deletionVectors" not in (self._delta.protocol().reader_features or ()):
            return {}
        with translated(self._table, "reading"):
            vectors = pa.table(self._delta.deletion_vectors())
        masks = {
            relative_path(str(uri), str(self._delta.table_uri)): mask.values
            for uri, mask in zip(vectors["filepath"].to_pylist(), _scalars(vectors["selection_vector"]), strict=True)
        }
        deletions = {number: masks.pop(path) for number, path in enumerate(self.paths) if path in masks}
        if masks:
            fault = f"a deletion vector for a file that isn't part of the table ({min(masks)})"
            raise features.unsupported(self._table, "read", [fault])
        return deletions

    @cached_property
    def schema(self) -> pa.Schema:
        """The table's schema with the column names of the files."""
        return features.physical_schema(self._delta) if self.mapped else self.logical

    @cached_property
    def partitions(self) -> list[dict[str, pa.Scalar]]:
        """Partition values of each file, by the column names of the files.

        Raises:
            UnsupportedTable: the table is partitioned by a binary column, which writers encode in different ways.
        """
        return self._cached("partitions", self._read_partitions)

    def _read_partitions(self) -> list[dict[str, pa.Scalar]]:
        import pyarrow as pa

        if "partition" not in self.actions.column_names:
            return [{}] * self.actions.num_rows
        logical = self.logical
        for name in self._delta.metadata().partition_columns:
            if pa.types.is_binary(logical.field(name).type):
                raise features.unsupported(self._table, "read", [f"the binary partition column {name}"])
        physical = dict(zip(logical.names, self.schema, strict=True))
        return [
            {physical[name].name: value.cast(physical[name].type) for name, value in row.items()}
            for row in self.actions["partition"].combine_chunks()
        ]

    def resolve(self) -> None:
        """Computes all properties. delta-rs can't be called while it consumes a stream of these rows."""
        for name in ("mapped", "deletions", "schema", "partitions", "layout", "filesystem"):
            getattr(self, name)

    def row_counts(self) -> list[int] | None:
        """Returns the number of stored rows of each file from its statistics; `None` if a file has none."""
        counts = self.actions["num_records"] if "num_records" in self.actions.column_names else None
        if counts is None or counts.null_count:
            return None if self.actions.num_rows else []
        return list(map(int, counts.to_pylist()))

    def row_count(self) -> int | None:
        """Returns the number of rows from file statistics; `None` if a file has none."""
        import pyarrow.compute as pc

        counts = self.row_counts()
        if counts is None:
            return None
        deleted = sum(len(mask) - int(pc.sum(mask).as_py() or 0) for mask in self.deletions.values())
        return sum(counts) - deleted

    @cached_property
    def layout(self) -> Layout:
        """How the columns of the files differ from the table's. Reads the footers of files new to this process."""
        return self._cached("layout", self._compute_layout)

    def _compute_layout(self) -> Layout:
        types = dict(zip(self.schema.names, self.schema.types, strict=True))
        layout = Layout.PLAIN
        for footer in {id(footer): footer for footer in self._footers}.values():
            self._check_ids(footer)
            layout = max(layout, Layout.WIDENED if footer.int96 else Layout.PLAIN)
            self._check_case(footer)
            for field in footer.schema:
                if field.name in types and not agrees(field.type, types[field.name]):
                    fits = widens(field.type, types[field.name])
                    layout = max(layout, Layout.WIDENED if fits else Layout.UNCERTAIN)
        return layout if layout or self._paths_contain_partitions() else Layout.WIDENED

    def fragments(
        self, *, bounds: bool, without: Collection[str] = (), by_path: bool = False
    ) -> Iterator[tuple[int, ds.ParquetFileFragment]]:
        """Yields the files as Arrow fragments, each with its position.

        The partition expression of a fragment contains its partition values.

        Args:
            bounds: whether the partition expression also contains the bounds of columns, so that filters skip files.
            without: files to leave out, by their paths in the log.
            by_path: whether the files are in the order of their paths, which is the same in each process.
        """
        import pyarrow.dataset as ds

        count = len(self.paths)
        conditions = file_conditions(self.actions, self.schema) if bounds and count > 1 else [[]] * count
        for number in sorted(range(count), key=self.paths.__getitem__) if by_path else range(count):
            path = self.paths[number]
            if self.encoded_paths[number] in without:
                continue
            terms = [
                ds.field(name) == value if value.is_valid else ds.field(name).is_null()
                for name, value in self.partitions[number].items()
            ] + conditions[number]
            condition = reduce(and_, terms) if terms else None
            yield number, self.format.make_fragment(path, self.filesystem, partition_expression=condition)

    @cached_property
    def format(self) -> ds.ParquetFileFormat:
        """File format. 12-byte timestamps (INT96) are read in microseconds, which can represent years 1 to 9999."""
        import pyarrow.dataset as ds

        return ds.ParquetFileFormat(
            read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit="us"),
            default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=True),
        )

    @cached_property
    def filesystem(self) -> FileSystem:
        """Arrow file system rooted at the table."""
        from pyarrow.fs import PyFileSystem

        if filesystem := self._storage.filesystem(self._table):
            return filesystem
        from deltalake.fs import DeltaStorageHandler

        native = self._delta._table
        return PyFileSystem(
            DeltaStorageHandler.from_table(native, self._delta._storage_options, native.get_add_file_sizes())
        )

    @cached_property
    def _footers(self) -> list[Footer]:
        sizes = self.actions["size_bytes"].to_pylist()
        with translated(self._table, "reading"):
            return footers(
                str(self._delta.table_uri),
                list(zip(self.paths, map(int, sizes), strict=True)),
                self.filesystem,
                local=self._storage.folder is not None,
            )

    @cached_property
    def _ids(self) -> dict[ColumnPath, int]:
        return features.column_ids(self._delta) if features.mapping_mode(self._delta) == "id" else {}

    def _check_ids(self, footer: Footer) -> None:
        """Refuses files whose columns have other ids or names than in the log. Delta's own writers store both.

        With column mapping by id, readers must match columns by id, but the platform's readers match them by name.
        """
        if not self._ids:
            return
        paths = {number: path for path, number in self._ids.items()}
        for path, number in footer.ids:
            if number is None or paths.get(number, path) != path or self._ids.get(path, number) != number:
                raise UnsupportedTable(
                    f"The platform does not read the Delta table {self._table}: it uses columnMapping by id, and a "
                    f"data file has the column {'.'.join(path)} with {'no id' if number is None else f'id {number}'}, "
                    "other than in the log. Rewrite the rows with the writer of the table.",
                    metadata={"table": self._table, "features": ["columnMapping"]},
                )

    def _check_case(self, footer: Footer) -> None:
        """Refuses files whose column names differ from the table's by case only. Some readers return nulls for them."""
        names = {name.lower(): name for name in self.schema.names}
        present = set(footer.schema.names)
        for name in footer.schema.names:
            expected = names.get(name.lower(), name)
            if expected != name and expected not in present:
                fault = f"data files in which the column {expected} is named {name}"
                raise features.unsupported(self._table, "read", [fault])

    def _paths_contain_partitions(self) -> bool:
        """Returns whether the paths contain the partition values. Some readers take the values from the paths."""
        if "partition" not in self.actions.column_names:
            return True
        return all(map(contains_partitions, self.paths, self.partitions))


def _scalars(column: pa.ChunkedArray) -> Iterator[pa.ListScalar]:
    for chunk in column.chunks:
        yield from chunk
