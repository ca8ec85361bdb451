"""The record of ingested files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from core.db import METADATA, Database, UtcDateTime

_MAX_NAME_LENGTH = 500

LANDED_FILE = sa.Table(
    "landed_file",
    METADATA,
    sa.Column("table_name", sa.String(200), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("file", sa.String(_MAX_NAME_LENGTH), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("rejected_count", sa.BigInteger, nullable=False),
    sa.Column("run", sa.String(64), nullable=False),
    sa.Column("landed_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Landed:
    """A file that was ingested, with the number of its rows and of its quarantined lines."""

    file: str
    digest: str
    size_bytes: int
    row_count: int
    rejected_count: int
    run: str
    landed_at: datetime


class LandingRecord:
    """The contents that each table has ingested, for sensors.

    The appends to the table, not this record, ensure that each content is ingested once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def ingested(self, table: str, digests: Iterable[str]) -> set[str]:
        """Returns the digests that the table has ingested."""
        columns = LANDED_FILE.c
        query = sa.select(columns.digest).where(columns.table_name == table, columns.digest.in_(list(digests)))
        with self._database.read() as connection:
            return {str(row.digest) for row in connection.execute(query)}

    def files(self, table: str) -> list[Landed]:
        """Returns all files that the table has ingested, oldest first."""
        query = sa.select(LANDED_FILE).where(LANDED_FILE.c.table_name == table).order_by(LANDED_FILE.c.landed_at)
        with self._database.read() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        return [Landed(**{name: value for name, value in row.items() if name != "table_name"}) for row in rows]

    def record(self, table: str, landed: Landed) -> None:
        """Records a file. If its content is already recorded, the record doesn't change."""
        row = {"table_name": table} | {name: getattr(landed, name) for name in Landed.__slots__}
        row["file"] = _shortened(landed.file)
        with self._database.write() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(LANDED_FILE).values(row).on_conflict_do_nothing())


def _shortened(name: str) -> str:
    """Returns a name that fits the column. Escapes make names of up to 255 bytes four times as long."""
    return name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 1] + "…"
