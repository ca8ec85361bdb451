"""The online store: for each entity the newest row, and those whose event time is still to come.

A write replaces all rows of an asset at once by those of a table version. A read answers from one version only. Rows
that were pushed are kept beside them, until a version is written that was read after they arrived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from core.errors import WriteConflict
from features.encoding import key_bytes, schema_bytes, storable
from features.rows import ViewColumns, ViewRows

if TYPE_CHECKING:
    import pyarrow as pa

    from core.settings import Settings

BATCH = 20_000
"""Number of entities that are written at a time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VALUES = msgspec.msgpack.Decoder(list[Any])


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A table version in the online store."""

    table: str
    """Id of the batch table."""

    table_id: str
    """Id of the Delta table, which changes when the table is created again."""

    table_version: int
    """Version of the Delta table."""

    keys: tuple[str, ...]
    """Columns that identify the entity."""

    timestamp: str
    """Column with the event time."""

    schema: bytes
    """Arrow schema of the keys, the event time, and the features."""

    as_of: int
    """Moment from which on the rows are complete, in microseconds since 1970. Earlier moments need earlier rows."""

    rows: int
    """Number of rows."""

    entities: int
    """Number of entities."""

    max_age: int | None = None
    """Age in microseconds from which on rows are deleted. `None`: they stay until the next version."""

    @property
    def data_version(self) -> str:
        """The data version of the batch table."""
        return f"{self.table_id}@{self.table_version}"


class OnlineRow(msgspec.Struct, frozen=True, gc=False):
    """A row of an entity."""

    event_at: int
    """Event time in microseconds since 1970."""

    values: bytes
    """Values of the features in the order of the schema."""

    source: str = ""
    """Name of what pushed the row. Empty for rows of the table version."""


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of entities in one version."""

    served: Served
    rows: Mapping[bytes, Sequence[OnlineRow]] = field(default_factory=dict)
    """Rows by key, without those of entities that have none."""


class OnlineStore(Protocol):
    """A place for online rows, by the id of the asset that writes them."""

    def at_once(self) -> OnlineStore | None:
        """Returns the store for reads that take less time than a switch of threads, and that fail with `Unavailable`
        where they would wait. `None` if the store has no such reads."""

    def served(self, asset: str) -> Served | None:
        """Returns the version that is served, or `None` before the first write."""

    def read(self, asset: str, keys: Sequence[bytes]) -> Found | None:
        """Returns the rows of entities, all from one version, or `None` before the first write."""

    def write(self, asset: str, served: Served, batches: Iterator[list[tuple[bytes, OnlineRow]]]) -> bool:
        """Replaces the rows by those of a version, all at once. An interrupted write changes nothing.

        Returns `False` if a newer version of the same table is served, which then stays.

        Raises:
            WriteConflict: another write of the asset began later.
        """

    def push(self, asset: str, rows: Sequence[tuple[bytes, OnlineRow]]) -> int:
        """Adds rows to what is served. Of each entity, the newest counts. Returns the number of stored rows."""

    def assets(self) -> list[str]:
        """Returns the ids of the assets of which rows are stored."""

    def remove(self, asset: str, served: Served) -> bool:
        """Removes all rows of an asset, if this version is still served. Returns whether it was."""

    def expire(self, asset: str, before: int) -> int:
        """Deletes rows whose event time is before a moment. Returns their number, with pushed rows."""

    def close(self) -> None:
        """Closes the connections."""


def open_store(settings: Settings) -> OnlineStore:
    """Returns the store of the settings: Redis if its URL is set, otherwise files in the home folder."""
    if settings.online_store_url:
        from features.redis_store import RedisStore

        return RedisStore(settings.online_store_url)
    from features.embedded import EmbeddedStore

    return EmbeddedStore(settings.home / "online")


def superseded(asset: str) -> WriteConflict:
    """Returns the error of a write that another one overtook."""
    return WriteConflict(f"Another write of the online rows of {asset} began later. Materialize the asset again.")


@dataclass(frozen=True, slots=True)
class Serving:
    """The rows of a version that an online store needs, from a moment on."""

    served: Served
    batches: Iterator[list[tuple[bytes, OnlineRow]]]


def serving(
    rows: ViewRows, *, table: str, table_id: str, table_version: int, as_of: int, max_age: int | None = None
) -> Serving:
    """Returns what to write: of each entity the newest row at a moment, and all later ones.

    Rows that are older than `max_age` microseconds are left out.
    """
    import polars as pl

    keys = list(rows.columns.keys)
    last = pl.col("event_at").filter(pl.col("event_at") <= as_of).max().over(keys)
    needed = rows.index.filter(last.is_null() | (pl.col("event_at") >= last))
    if max_age is not None:
        needed = needed.filter(pl.col("event_at") >= as_of - max_age)
    served = Served(
        table=table,
        table_id=table_id,
        table_version=table_version,
        keys=rows.columns.keys,
        timestamp=rows.columns.timestamp,
        schema=schema_bytes(rows.table.schema),
        as_of=as_of,
        rows=needed.height,
        entities=needed.select(keys).n_unique(),
        max_age=max_age,
    )
    return Serving(served, _batches(rows, needed))


def encoded_rows(table: pa.Table, columns: ViewColumns) -> Iterator[tuple[bytes, bytes]]:
    """Yields the key and the values of each row."""
    keys = zip(*(storable(table[name]) for name in columns.keys), strict=True)
    values = packed([table[name] for name in columns.features], table.num_rows)
    for key, row in zip(keys, values, strict=True):
        yield key_bytes(key), row


def packed(columns: Sequence[pa.Array | pa.ChunkedArray], count: int) -> Iterator[bytes]:
    """Yields the values of each row as bytes."""
    if not columns:
        yield from [msgspec.msgpack.encode(())] * count
        return
    for row in zip(*(storable(column) for column in columns), strict=True):
        yield msgspec.msgpack.encode(row)


def features_of(schema: pa.Schema, served: Served) -> list[str]:
    """Returns the names of the features in the order of their values."""
    return [name for name in schema.names if name not in (*served.keys, served.timestamp)]


@lru_cache(maxsize=1_000)
def served_of(content: bytes) -> Served:
    """Returns what a store wrote about a version. Equal contents are one object."""
    return msgspec.msgpack.decode(content, type=Served)


def decoded(row: OnlineRow) -> list[Any]:
    """Returns the stored values of a row."""
    return _VALUES.decode(row.values)


def _batches(rows: ViewRows, needed: Any) -> Iterator[list[tuple[bytes, OnlineRow]]]:
    """Yields the rows in batches, each with all rows of its entities, one entity after the other."""
    import polars as pl
    import pyarrow as pa

    keys = list(rows.columns.keys)
    ordered = needed.sort(*keys, "event_at").with_columns(entity=pl.struct(keys).rle_id() // BATCH)
    for part in ordered.partition_by("entity", maintain_order=True):
        table = rows.table.take(pa.array(part["row"].to_arrow(), pa.uint32()))
        events = part["event_at"].to_list()
        yield [
            (key, OnlineRow(event_at, values))
            for event_at, (key, values) in zip(events, encoded_rows(table, rows.columns), strict=True)
        ]


def instant(event_at: int) -> datetime | None:
    """Returns an event time, or `None` if it is outside the years of `datetime`."""
    try:
        return _EPOCH + timedelta(microseconds=event_at)
    except OverflowError:
        return None
