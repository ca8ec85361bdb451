"""Files that land in a folder become rows, exactly once per content.

A file's content digest is the key of its appends, so a file that is dropped twice, or whose ingestion is killed at any
point and repeated, adds its rows once. What does not fit the declared columns goes to the table's quarantine with the
reason, the line and the raw bytes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from core import clock
from core.db import METADATA, Database, UtcDateTime
from core.errors import UnknownTable

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.delimited import Column, Rejected
    from lakehouse.step import Step
    from lakehouse.tables import Commit

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart")
_ARROW_TYPES = {"float64": "double", "date": "date32"}

LANDED_FILE = sa.Table(
    "landed_file",
    METADATA,
    sa.Column("table_name", sa.String(200), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("file", sa.String(500), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("rejected_count", sa.BigInteger, nullable=False),
    sa.Column("run", sa.String(64), nullable=False),
    sa.Column("landed_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file in a landing folder as it looked once."""

    path: Path
    size: int
    modified_ns: int

    @classmethod
    def look(cls, path: Path) -> Candidate | None:
        """The file as it is now; `None` if it is gone."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        return cls(path, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Landed:
    """A file that was ingested: how many rows it gave and how many were quarantined."""

    file: str
    digest: str
    size_bytes: int
    row_count: int
    rejected_count: int
    run: str
    landed_at: datetime


class LandingRecord:
    """Which contents a table has already. An index for sensors: the appends themselves are what happens once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, table: str, digests: Iterable[str]) -> set[str]:
        """Those of the digests that were ingested."""
        columns = LANDED_FILE.c
        query = sa.select(columns.digest).where(columns.table_name == table, columns.digest.in_(list(digests)))
        with self._database.read() as connection:
            return {str(row.digest) for row in connection.execute(query)}

    def files(self, table: str) -> list[Landed]:
        """Every file ingested into a table, oldest first."""
        query = sa.select(LANDED_FILE).where(LANDED_FILE.c.table_name == table).order_by(LANDED_FILE.c.landed_at)
        with self._database.read() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        return [Landed(**{name: value for name, value in row.items() if name != "table_name"}) for row in rows]

    def record(self, table: str, landed: Landed) -> None:
        """Remembers a file; a content that is known already is left as it is."""
        row = {"table_name": table} | {name: getattr(landed, name) for name in Landed.__slots__}
        with self._database.write() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(LANDED_FILE).values(row).on_conflict_do_nothing())


def quarantine_of(table: str) -> str:
    """Name of the table that takes a landing table's rejected rows."""
    return f"{table}_quarantine"


def folder_of(root: str, table: str) -> Path:
    """The folder whose files become rows of a table."""
    return Path(root) / table


def candidates(folder: Path, pattern: str) -> list[Candidate]:
    """Files to look at, oldest first: no hidden ones, no links, none with the suffix of an unfinished copy."""
    found = []
    for path in folder.glob(pattern):
        if path.name.startswith(".") or path.suffix in _UNFINISHED or path.is_symlink() or not path.is_file():
            continue
        if candidate := Candidate.look(path):
            found.append(candidate)
    return sorted(found, key=lambda candidate: (candidate.modified_ns, candidate.path.name))


def settled(found: Sequence[Candidate], *, seconds: float) -> list[Candidate]:
    """Those that nobody is still writing: unchanged over the next `seconds`.

    A copy may keep the original's modification time, so age alone proves nothing.
    """
    if found:
        time.sleep(seconds)
    return [candidate for candidate in found if Candidate.look(candidate.path) == candidate]


def digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Landing:
    """Ingests files into one table and its quarantine."""

    def __init__(
        self,
        table: str,
        columns: Sequence[Column],
        record: LandingRecord,
        open_step: Callable[[str], Step],
        *,
        delimiter: str = ",",
        null_values: Sequence[str] = ("",),
        descriptions: Mapping[str, str] | None = None,
    ) -> None:
        """Prepares an ingestion.

        Args:
            table: where rows go.
            columns: what a row must look like.
            record: remembers what was ingested.
            open_step: makes the unit of work that writes the named table; called once per commit.
            delimiter: one character.
            null_values: texts that stand for a missing value.
            descriptions: column descriptions, kept as Delta column comments.
        """
        self.table = table
        self._columns = columns
        self._record = record
        self._open_step = open_step
        self._delimiter = delimiter
        self._null_values = null_values
        self._descriptions = descriptions or {}

    def prepare(self) -> None:
        """Makes both tables, empty, if they are missing."""
        for table, schema in ((self.table, self._schema()), (quarantine_of(self.table), quarantine_schema())):
            try:
                self._open_step(table).read(table)
            except UnknownTable:
                self._open_step(table).append(schema.empty_table(), once="prepare")

    def ingest(self, candidate: Candidate) -> Landed | None:
        """Ingests one file; `None` if it changed while it was read, so that it is not finished.

        Idempotent per content.

        Raises:
            StorageFull, WriteConflict, Unavailable: the file is not remembered as ingested; repeat later.
        """
        from lakehouse.delimited import parse

        content = candidate.path.read_bytes()
        if Candidate.look(candidate.path) != candidate or len(content) != candidate.size:
            return None
        checksum, name, at = hashlib.sha256(content).hexdigest(), candidate.path.name, clock.now()
        parsed = parse(content, self._columns, delimiter=self._delimiter, null_values=self._null_values)
        data = self._open_step(self.table)
        if parsed.rows.height:
            rows = _with_origin(parsed.rows, name, checksum, at).to_arrow().cast(self._schema())
            _append(data, rows, name, checksum)
        if parsed.rejected:
            rejected = _quarantined(parsed.rejected, name, checksum, at)
            _append(self._open_step(quarantine_of(self.table)), rejected, name, checksum)
        landed = Landed(name, checksum, len(content), parsed.rows.height, len(parsed.rejected), data.run, at)
        self._record.record(self.table, landed)
        return landed

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        fields = [
            pa.field(column.name, _arrow_type(column.type), metadata=_comment(self._descriptions.get(column.name)))
            for column in self._columns
        ]
        return pa.schema(
            [
                *fields,
                pa.field("_line", pa.int64(), metadata=_comment("Line of the file the row began on.")),
                *_origin_fields(),
            ]
        )


def quarantine_schema() -> pa.Schema:
    """Columns of every quarantine table."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("line", pa.int64(), metadata=_comment("Line of the file, the header being 1.")),
            pa.field("reason", pa.string(), metadata=_comment("Why it became no row.")),
            pa.field("raw", pa.string(), metadata=_comment("The text; bytes that are not UTF-8 as \\x escapes.")),
            pa.field("raw_bytes", pa.binary(), metadata=_comment("The exact bytes where `raw` has escapes.")),
            *_origin_fields(),
        ]
    )


def _origin_fields() -> list[pa.Field]:
    import pyarrow as pa

    return [
        pa.field("_file", pa.string(), metadata=_comment("Name of the file.")),
        pa.field("_sha256", pa.string(), metadata=_comment("Digest of the file's content.")),
        pa.field("_landed_at", pa.timestamp("us", "UTC"), metadata=_comment("When it was ingested.")),
    ]


def _append(step: Step, rows: pa.Table, name: str, checksum: str) -> Commit:
    step.use(f"file:{name}"[:200], f"sha256:{checksum}")
    return step.append(rows, once=f"file:{checksum}")


def _with_origin(rows: pl.DataFrame, name: str, checksum: str, at: datetime) -> pl.DataFrame:
    import polars as pl

    landed_at = pl.lit(at, pl.Datetime("us", "UTC"))
    return rows.with_columns(
        pl.lit(name).alias("_file"), pl.lit(checksum).alias("_sha256"), landed_at.alias("_landed_at")
    )


def _quarantined(rejected: Sequence[Rejected], name: str, checksum: str, at: datetime) -> pa.Table:
    import pyarrow as pa

    rows = []
    for item in rejected:
        text = item.raw.decode(errors="backslashreplace")
        exact = text.encode() == item.raw
        rows.append(
            {
                "line": item.line,
                "reason": item.reason,
                "raw": text,
                "raw_bytes": None if exact else item.raw,
                "_file": name,
                "_sha256": checksum,
                "_landed_at": at,
            }
        )
    return pa.Table.from_pylist(rows, schema=quarantine_schema())


def _arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us", "UTC") if kind == "timestamp" else pa.type_for_alias(_ARROW_TYPES.get(kind, kind))


def _comment(text: str | None) -> dict[str, str] | None:
    return {"comment": text} if text else None
