"""The ledger: digests of all commits, stored outside the log.

A Delta log whose newest commit file was removed or emptied reads as an older table, without an error. Comparing the
log with the ledger detects that and raises `TableDamaged`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from core import clock
from core.db import METADATA, Database, UtcDateTime
from core.errors import TableDamaged

COMMIT_DIGEST = sa.Table(
    "commit_digest",
    METADATA,
    sa.Column("table_name", sa.String(200), primary_key=True),
    sa.Column("table_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
)

# Runs before every read and write, so it's compiled once.
_NEWEST = (
    sa.select(COMMIT_DIGEST.c.version, COMMIT_DIGEST.c.digest)
    .where(COMMIT_DIGEST.c.table_name == sa.bindparam("name"), COMMIT_DIGEST.c.table_id == sa.bindparam("id"))
    .order_by(COMMIT_DIGEST.c.version.desc())
    .limit(1)
)


def digest(content: bytes) -> str:
    """Returns the SHA-256 digest of a commit file, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class Ledger:
    """Stored digests of the commits of every table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, table: str, table_id: str) -> tuple[int, str] | None:
        """Returns the highest recorded version and its digest."""
        with self._database.read() as connection:
            row = connection.execute(_NEWEST, {"name": table, "id": table_id}).first()
        return (int(row.version), str(row.digest)) if row else None

    def has_commits(self, table: str) -> bool:
        """Returns whether any commit of a table with this name is recorded."""
        query = sa.select(COMMIT_DIGEST.c.version).where(COMMIT_DIGEST.c.table_name == table).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def digests(self, table: str, table_id: str, versions: list[int] | None = None) -> dict[int, str]:
        """Returns recorded digests by version: all, or those between the lowest and the highest of `versions`."""
        columns = COMMIT_DIGEST.c
        query = sa.select(columns.version, columns.digest).where(
            columns.table_name == table, columns.table_id == table_id
        )
        if versions is not None:  # a range, not a list: a long log has more versions than a statement has parameters
            query = query.where(columns.version.between(min(versions, default=0), max(versions, default=-1)))
        with self._database.read() as connection:
            return {int(row.version): str(row.digest) for row in connection.execute(query)}

    def check(self, table: str, table_id: str, digests: Mapping[int, str]) -> None:
        """Compares digests with the recorded ones, and records the new ones.

        Raises:
            TableDamaged: a version is recorded with another digest.
        """
        stored = self.digests(table, table_id, list(digests))
        for version, value in digests.items():
            if stored.get(version, value) != value:
                raise altered(table, version)
        self.record(table, table_id, {v: value for v, value in digests.items() if v not in stored})

    def record(self, table: str, table_id: str, digests: Mapping[int, str]) -> None:
        """Records digests of new commits. Raises the error of `check` if another process recorded other digests."""
        if not digests:
            return
        now = clock.now()
        rows = [
            {"table_name": table, "table_id": table_id, "version": version, "digest": value, "recorded_at": now}
            for version, value in digests.items()
        ]
        with self._database.write() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            inserted = connection.execute(dialect.insert(COMMIT_DIGEST).on_conflict_do_nothing(), rows).rowcount
        if len(rows) == 1 and inserted == 1:
            return
        stored = self.digests(table, table_id, list(digests))
        for version, value in digests.items():
            if stored[version] != value:
                raise altered(table, version)

    def forget(self, table: str) -> None:
        """Deletes all digests of a table. The next opening records the log as it is then."""
        with self._database.write() as connection:
            connection.execute(COMMIT_DIGEST.delete().where(COMMIT_DIGEST.c.table_name == table))


def altered(table: str, version: int) -> TableDamaged:
    """Returns the error for a commit file that changed after it was recorded."""
    return TableDamaged(
        f"The commit file of version {version} of {table} was altered or emptied after it was written. "
        f"Restore `_delta_log/{version:020}.json` from a backup. To accept the table as it is now, run "
        f"`headwater tables adopt {table}`.",
        metadata={"table": table, "version": version},
    )


def truncated(table: str, newest: int, recorded: int) -> TableDamaged:
    """Returns the error for a log that ends before the newest recorded commit."""
    return TableDamaged(
        f"{table} was committed up to version {recorded}, but its log ends at version {newest}: "
        f"the newest commit files are missing. Restore them from a backup (`_delta_log/{recorded:020}.json`). To "
        f"accept the loss, run `headwater tables adopt {table}`.",
        metadata={"table": table, "version": newest, "recorded_version": recorded},
    )
