"""Footers of Parquet data files. Each is read once, because data files never change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

ColumnPath = tuple[str, ...]
"""Names of a column, and of the fields of structs below it. Lists add nothing; maps add `MAP_KEY` or `MAP_VALUE`."""

MAP_KEY, MAP_VALUE = "key", "value"
_MAX_CACHED = 100_000
_cache: dict[tuple[str, str, int], Footer] = {}
_distinct: dict[Footer, Footer] = {}
"""One object for all equal footers, which makes comparisons cheap: most files of a table have equal ones."""


@dataclass(frozen=True, slots=True)
class Footer:
    """The columns of a data file."""

    schema: pa.Schema
    int96: bool
    """Whether the file contains 12-byte timestamps, whose range exceeds that of 64-bit nanoseconds."""
    ids: tuple[tuple[ColumnPath, int | None], ...]
    """Paths and field ids of the columns and of the fields of structs; `None` for those without an id."""


def footers(uri: str, files: Sequence[tuple[str, int]], filesystem: FileSystem, *, local: bool) -> list[Footer]:
    """Returns the footers of data files.

    Args:
        uri: location of the table.
        files: decoded path below the location, and size, of each file.
        filesystem: file system rooted at the location.
        local: whether files are on this machine. Others are read in parallel.
    """
    missing = [file for file in files if (uri, *file) not in _cache]
    if missing:
        if len(_cache) + len(missing) > _MAX_CACHED:
            _cache.clear()
            _distinct.clear()
        if local or len(missing) == 1:
            read: Iterable[Footer] = (_read(filesystem, path) for path, _ in missing)
        else:
            with ThreadPoolExecutor(32) as pool:
                read = list(pool.map(lambda file: _read(filesystem, file[0]), missing))
        for file, footer in zip(missing, read, strict=True):
            _cache[(uri, *file)] = _distinct.setdefault(footer, footer)
    return [_cache.get((uri, *file)) or _read(filesystem, file[0]) for file in files]


def _read(filesystem: FileSystem, path: str) -> Footer:
    import pyarrow.parquet as pq

    with filesystem.open_input_file(path) as source:
        metadata = pq.read_metadata(source)
    schema = metadata.schema.to_arrow_schema()
    int96 = any(metadata.schema.column(number).physical_type == "INT96" for number in range(metadata.num_columns))
    return Footer(schema.remove_metadata(), int96, tuple(_field_ids(schema, ())))


def _field_ids(fields: Iterable[pa.Field], parent: ColumnPath) -> Iterator[tuple[ColumnPath, int | None]]:
    for field in fields:
        path = (*parent, field.name)
        number = (field.metadata or {}).get(b"PARQUET:field_id")
        yield path, None if number is None else int(number)
        yield from _nested_ids(field.type, path)


def _nested_ids(kind: pa.DataType, path: ColumnPath) -> Iterator[tuple[ColumnPath, int | None]]:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        yield from _field_ids(kind, path)
    elif pa.types.is_map(kind):
        yield from _nested_ids(kind.key_type, (*path, MAP_KEY))
        yield from _nested_ids(kind.item_type, (*path, MAP_VALUE))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _nested_ids(kind.value_type, path)
