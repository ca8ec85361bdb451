"""The export method: all resources of a kind as NDJSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import Any

from api.kernel.kinds import standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.rules import RuledKind
from api.kernel.kinds.stored_kind import Method, StoredKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Filter, Query
from api.kernel.storage import store
from api.kernel.storage.store import Stored

_PAGE_SIZE = 500


class ExportFormat(StrEnum):
    """The format of an export."""

    NDJSON = "ndjson"
    CSV = "csv"


class ExportQuery(Query):
    """What to export."""

    format: ExportFormat = ExportFormat.NDJSON
    """One JSON document per line, or CSV with JSON in the columns that contain documents."""

    filter: Filter = ""
    """Which resources, as in the list."""

    show_deleted: bool = False
    """Also export resources that are deleted and not purged yet."""


def declare(kind: RuledKind[Any]) -> None:
    """Registers the method if the kind has it."""
    if Method.EXPORT not in kind.methods:
        return

    async def run(ctx: Context, query: ExportQuery) -> AsyncGenerator[bytes, None]:
        return export(ctx, kind, query)

    kind.register(
        Shape.COLLECTION_READ,
        "export",
        declared=kind.model,
        text=f"Streams all {kind.plural.replace('-', ' ')} that the caller can see, as NDJSON or CSV.",
        query=ExportQuery,
        answer=Answer.FILE,
        role=kind.readers,
    )(run)


async def export(ctx: Context, kind: StoredKind[Any], query: ExportQuery) -> AsyncGenerator[bytes, None]:
    """Yields the resources page by page, so that memory use does not depend on their number."""
    list_query = standard.ResourceQuery(filter=query.filter, show_deleted=query.show_deleted, page_size=_PAGE_SIZE)

    def page(unit: Unit) -> tuple[list[Stored], str | None]:
        select = standard.visible(unit, kind, deleted=query.show_deleted)
        rows, token = kind.listing.rows(unit.connection, select, list_query)
        return [kind.current(store.stored(row)) for row in rows], token

    first = True
    while first or list_query.page_token:
        rows, token = await ctx.read(page)
        list_query = list_query.model_copy(update={"page_token": token or ""})
        yield _lines(rows, query.format, header=first)
        first = False


def _lines(rows: list[Stored], format: ExportFormat, *, header: bool) -> bytes:
    if format is ExportFormat.NDJSON:
        return b"".join(row.encode() + b"\n" for row in rows)
    text = io.StringIO()
    writer = csv.writer(text)
    if header:
        writer.writerow(_CSV_COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, column)) for column in _CSV_COLUMNS])
    return text.getvalue().encode()


_CSV_COLUMNS = tuple(name for name in Stored.__slots__ if name not in ("scope_id", "shape"))


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    # A spreadsheet would run such a cell as a formula.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
