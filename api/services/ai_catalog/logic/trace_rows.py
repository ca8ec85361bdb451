"""The values of traces in their tables: tags, metadata, and links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.services.ai_catalog.logic.run_rows import Row
from api.services.ai_catalog.trace_tables import TRACE_ASSESSMENT, TRACE_LINK, TRACE_METADATA, TRACE_TAG
from core.db import insert

RUN, MODEL, PROMPT, ASSET = "RUN", "MODEL", "PROMPT", "ASSET"
TYPES = (RUN, MODEL, PROMPT, ASSET)
"""Types of links."""

Link = tuple[str, str, str]
"""Type, target, and version of a link. The version is empty if the target has none."""


class TraceValues:
    """The values of several traces, read with one statement for each table."""

    def __init__(self, connection: Connection, traces: Sequence[str]) -> None:
        self.tags: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.metadata: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.links: defaultdict[str, list[Row]] = defaultdict(list)
        self.assessments: defaultdict[str, list[Row]] = defaultdict(list)
        for table, values in ((TRACE_TAG, self.tags), (TRACE_METADATA, self.metadata)):
            for row in _rows(connection, table, traces, table.c.key):
                values[row.trace_id][row.key] = row.value
        for row in _rows(connection, TRACE_LINK, traces, TRACE_LINK.c.target, TRACE_LINK.c.version):
            self.links[row.trace_id].append(row)
        for row in _rows(connection, TRACE_ASSESSMENT, traces, TRACE_ASSESSMENT.c.id):
            self.assessments[row.trace_id].append(row)


def put(connection: Connection, table: sa.Table, trace: str, values: Mapping[str, str | None]) -> None:
    """Sets keys of the tags or metadata of a trace. None removes a key."""
    gone = [key for key, value in values.items() if value is None]
    if gone:
        connection.execute(table.delete().where(table.c.trace_id == trace, table.c.key.in_(gone)))
    rows = [{"trace_id": trace, "key": key, "value": value} for key, value in values.items() if value is not None]
    if rows:
        statement = insert(connection, table).on_conflict_do_update(
            index_elements=["trace_id", "key"], set_={"value": sa.literal_column("excluded.value")}
        )
        connection.execute(statement, rows)


def link(connection: Connection, trace: str, links: Iterable[Link]) -> None:
    """Adds links of a trace. Those that exist already don't change."""
    rows = [
        {"trace_id": trace, "type": type, "target": target, "version": version}
        for type, target, version in dict.fromkeys(links)
    ]
    if rows:
        connection.execute(insert(connection, TRACE_LINK).on_conflict_do_nothing(), rows)


def _rows(connection: Connection, table: sa.Table, traces: Sequence[str], *order: sa.Column[Any]) -> Iterable[Row]:
    return connection.execute(sa.select(table).where(table.c.trace_id.in_(traces)).order_by(table.c.trace_id, *order))
