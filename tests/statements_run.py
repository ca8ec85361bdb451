"""Which statements ran on which database: what API tests run on SQLite must also run on PostgreSQL.

A statement is known by the function that runs it and the tables that it names. Its text differs between databases.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from migrations.tables import METADATA

ROOT = f"{Path(__file__).parents[1]}/"
SUITES = ("api", "conformance")
"""Suites whose statements must run on both databases."""

_TABLES = re.compile(r'(?:FROM|JOIN|INTO|UPDATE) +"?(\w+)')
_WITHOUT_STATEMENTS = ("core/db.py", "tests/", ".venv")


@cache
def _tables(statement: str) -> str:
    return " ".join(sorted({name for name in _TABLES.findall(statement) if not name.startswith("json")}))


def _caller() -> str:
    """The innermost function of the platform; empty for a statement of a test itself."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        if file.startswith(ROOT):
            name = file.removeprefix(ROOT)
            if name.startswith("tests/"):
                return ""
            if not name.startswith(_WITHOUT_STATEMENTS):
                return f"{name}:{frame.f_code.co_qualname}"
        frame = frame.f_back
    return ""


class StatementsRun:
    """Collects the statements of this process."""

    def __init__(self) -> None:
        self.counts = False
        """Whether statements on SQLite count: those of the tests of `SUITES`."""

        self._known: set[tuple[str, str]] = set()
        self._new: list[tuple[str, str]] = []
        sa.event.listen(sa.Engine, "before_cursor_execute", self._note)

    def _note(
        self, connection: sa.Connection, _cursor: Any, _statement: str, _values: Any, context: Any, _: Any
    ) -> None:
        compiled = getattr(context, "compiled", None)
        database = connection.dialect.name
        if compiled is None or (database == "sqlite" and not self.counts) or not (caller := _caller()):
            return
        found = (database, f"{caller} {_tables(compiled.string)}")
        if found not in self._known:
            self._known.add(found)
            self._new.append(found)

    def new(self) -> list[tuple[str, str]]:
        """Returns those since the last call, each with its database."""
        found, self._new = self._new, []
        return found


def on_sqlite_alone(found: set[tuple[str, str]]) -> list[str]:
    """Returns the statements of functions that PostgreSQL never ran; none if it ran nothing, as in `make check`.

    A function that many tables share counts once: conformance tests run it on each of them. Statements on tables that
    tests declare do not count, and neither do migrations, which have tests on both databases.
    """
    by_database = {database: {statement for name, statement in found if name == database} for database, _ in found}
    on_postgresql = {statement.split()[0] for statement in by_database.get("postgresql", set())}
    left = by_database.get("sqlite", set()) if on_postgresql else set()
    return sorted(
        one
        for one in left
        if one.split()[0] not in on_postgresql
        and not one.startswith("migrations/")
        and METADATA.tables.keys() >= set(one.split()[1:]) != set()
    )
