"""Pins: marks that protect table versions from removal by maintenance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from core import clock
from core.db import METADATA, Database, UtcDateTime

PIN = sa.Table(
    "pin",
    METADATA,
    sa.Column("holder", sa.String(200), primary_key=True),
    sa.Column("table_name", sa.String(200), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_pin_table_name", "table_name"),
)


@dataclass(frozen=True, slots=True)
class Pin:
    """A mark by which `holder` (a model, a hold, or a run) protects one version of one table."""

    holder: str
    table: str
    version: int
    at: datetime


def add_pin(connection: Connection, holder: str, table: str, version: int) -> None:
    """Protects a version for a holder, in the transaction of a connection. Idempotent."""
    row = {"holder": holder, "table_name": table, "version": version, "at": clock.now()}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(PIN).values(row).on_conflict_do_nothing())


class Pins:
    """The stored pins. A vacuum doesn't delete files of pinned versions."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def pin(self, holder: str, table: str, version: int) -> None:
        """Protects a version for a holder. Idempotent."""
        with self.database.write() as connection:
            add_pin(connection, holder, table, version)

    def unpin(self, holder: str, table: str | None = None, version: int | None = None) -> int:
        """Removes pins of a holder: all, those of one table, or that of one version. Returns the number removed."""
        condition = PIN.c.holder == holder
        if table is not None:
            condition &= PIN.c.table_name == table
        if version is not None:
            condition &= PIN.c.version == version
        with self.database.write() as connection:
            return int(connection.execute(PIN.delete().where(condition)).rowcount)

    def pins(self, table: str | None = None, *, holder: str | None = None) -> list[Pin]:
        """Returns the pins of a table, of a holder, or all pins, sorted by table and version."""
        query = sa.select(PIN).order_by(PIN.c.table_name, PIN.c.version, PIN.c.holder)
        if table is not None:
            query = query.where(PIN.c.table_name == table)
        if holder is not None:
            query = query.where(PIN.c.holder == holder)
        with self.database.read() as connection:
            return [Pin(row.holder, row.table_name, int(row.version), row.at) for row in connection.execute(query)]

    def versions(self, table: str) -> list[int]:
        """Returns the pinned versions of a table in ascending order."""
        return sorted({pin.version for pin in self.pins(table)})
