"""Rows of one version, read with Arrow file by file in log order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.data_files import DataFiles
from lakehouse.faults import translated

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset as ds


class Rows:
    """The rows of the files of a version, with the column names and types of the table."""

    def __init__(self, table: str, files: DataFiles, schema: pa.Schema) -> None:
        self._table = table
        self._files = files
        self._schema = schema

    @property
    def by_fragment(self) -> bool:
        """Whether files are read one at a time, because of column mapping or deleted rows."""
        return self._files.mapped or bool(self._files.deletions)

    def dataset(
        self, *, bounds: bool = True, without: Collection[str] = (), by_path: bool = False
    ) -> ds.FileSystemDataset:
        """Returns the files as an Arrow dataset. Not for tables that are read by fragment."""
        import pyarrow.dataset as ds

        files = self._files.fragments(bounds=bounds, without=without, by_path=by_path)
        fragments = [fragment for _, fragment in files]
        return ds.FileSystemDataset(fragments, self._schema, self._files.format, self._files.filesystem)

    def table(self, names: Sequence[str], *, without: Collection[str] = (), by_path: bool = False) -> pa.Table:
        """Returns all rows."""
        import pyarrow as pa

        with translated(self._table, "reading"):
            self._files.layout  # noqa: B018 - raises UnsupportedTable for files that can't be read
            if not self.by_fragment:
                return self.dataset(bounds=False, without=without, by_path=by_path).to_table(columns=list(names))
            return pa.Table.from_batches(self.batches(names, without=without, by_path=by_path), self.selected(names))

    def selected(self, names: Sequence[str]) -> pa.Schema:
        """Returns the schema of these columns."""
        import pyarrow as pa

        return pa.schema([self._schema.field(name) for name in names])

    def batches(
        self, names: Sequence[str], *, without: Collection[str] = (), by_path: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Yields all rows."""
        with translated(self._table, "reading"):
            self._files.layout  # noqa: B018 - raises UnsupportedTable for files that can't be read
            if not self.by_fragment:
                yield from self.dataset(bounds=False, without=without, by_path=by_path).to_batches(columns=list(names))
                return
            for number, fragment in self._files.fragments(bounds=False, without=without, by_path=by_path):
                yield from self._fragment_batches(fragment, names, self._files.deletions.get(number))

    def page(self, names: Sequence[str], offset: int, limit: int | None) -> pa.Table:
        """Returns at most `limit` rows, beginning with row `offset`. Stops reading after them."""
        import pyarrow as pa

        batches: list[pa.RecordBatch] = []
        remaining = limit
        for batch in self.batches(names):
            skipped = min(offset, batch.num_rows)
            offset -= skipped
            part = batch.slice(skipped, remaining)
            if part.num_rows or remaining == 0:
                batches.append(part)
                remaining = None if remaining is None else remaining - part.num_rows
            if remaining == 0:
                break
        return pa.Table.from_batches(batches, self.selected(names))

    def lazy(self) -> pl.LazyFrame:
        """Returns a lazy Polars frame that reads only the columns that a query needs."""
        import polars as pl
        from polars.io.plugins import register_io_source

        def source(
            columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _size: int | None
        ) -> Iterator[pl.DataFrame]:
            names = self._schema.names if columns is None else columns or self._schema.names[:1]
            rows = self.table(names) if limit is None else self.page(names, 0, limit)
            frame = pl.DataFrame(rows)
            yield frame if predicate is None else frame.filter(predicate)

        schema = pl.DataFrame(self._schema.empty_table()).schema
        return register_io_source(source, schema=schema, validate_schema=False, is_pure=True)

    def _fragment_batches(
        self, fragment: ds.ParquetFileFragment, names: Sequence[str], mask: pa.Array | None
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.dataset as ds

        files = self._files
        physical_names = dict(zip(self._schema.names, files.schema.names, strict=True))
        target = self.selected(names)
        dataset = ds.FileSystemDataset([fragment], files.schema, files.format, files.filesystem)
        start = 0
        for batch in dataset.to_batches(columns=[physical_names[name] for name in names]):
            columns = [_renamed_fields(column, field.type) for column, field in zip(batch.columns, target, strict=True)]
            rows = pa.RecordBatch.from_arrays(columns, schema=target)
            yield rows if mask is None else rows.filter(_mask_part(mask, start, batch.num_rows))
            start += batch.num_rows


def _renamed_fields(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Returns the values with the field names of `kind`, a type of the same structure."""
    return column if column.type.equals(kind) else column.view(kind)


def _mask_part(mask: pa.Array, start: int, count: int) -> Any:
    """Returns `count` values of a mask, beginning at `start`. Values after the end of the mask are true."""
    import pyarrow as pa

    part = mask.slice(start, count)
    missing = count - len(part)
    return pa.concat_arrays([part, pa.repeat(pa.scalar(True), missing)]) if missing else part
