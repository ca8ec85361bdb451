"""One statement that only reads, in PostgreSQL.

The statement of a caller runs as the login of the connection, which may be allowed to do more than read. So:

- It is the query of a cursor. The server's own parser refuses everything else: changes, also inside `WITH`, `COPY`,
  `SET`, `DO`, `CALL`, and a second statement, because it comes by the extended protocol.
- Its transaction is read-only, and is always rolled back.
- Before it runs, the server plans it, which runs no volatile function. Every function that the statement or its plan
  names, so also those of views, must be built in and not volatile. `pg_read_file`, `set_config`, `dblink`,
  `pg_terminate_backend`, and `query_to_xml` are volatile or not built in. A plan doesn't name the functions of `LIMIT`
  and of window frames, so the text counts, too. Comments and escapes in names could hide a name there, so they are
  refused.
- Time, rows, and bytes are limited at the server and here.
"""

from __future__ import annotations

import re
import resource
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.pq import ExecStatus

from connectors.connector import Failed

MAX_BYTES = 4 << 20
"""Bytes of the values of an answer."""

_MEMORY_BYTES = 2 << 30
"""Address space that this process may use from now on, so that one large value ends the query, not the machine."""

_BATCH = 100
HARMLESS = ("random", "gen_random_uuid", "clock_timestamp", "timeofday")
"""Volatile functions that change nothing and disclose nothing."""

_CALL = re.compile(r'(?<![\w$])([\w$]+)"?\s*\(')
_QUOTED_CALL = re.compile(r'"([^"]*)"\s*\(')
HIDING = re.compile(r"--|/\*|u&['\"]", re.IGNORECASE)

REFUSED = """
SELECT DISTINCT name FROM unnest($1::text[]) AS asked (name) JOIN pg_proc ON proname = name
WHERE NOT EXISTS (SELECT FROM pg_proc WHERE proname = name AND pronamespace = 'pg_catalog'::regnamespace)
   OR (provolatile = 'v' AND NOT (pronamespace = 'pg_catalog'::regnamespace AND name = ANY ($2::text[])))
ORDER BY name
"""


class ReadOnlyTransaction:
    """A transaction that only reads. The block ends it without a trace."""

    def __init__(self, engine: sa.Engine, seconds: float) -> None:
        self._engine = engine
        self._ends = time.monotonic() + seconds

    def __enter__(self) -> ReadOnlyTransaction:
        with suppress(ValueError, OSError):  # not every system has this limit
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        self._pooled = self._engine.raw_connection()
        raw = self._pooled.driver_connection
        assert isinstance(raw, psycopg.Connection)
        self._raw = raw
        self._run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._limit()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._raw.pgconn.status == psycopg.pq.ConnStatus.OK:
            self._raw.pgconn.exec_(b"ROLLBACK")
        self._pooled.invalidate()

    def plan(self, sql: str) -> str:
        """Returns the plan of a statement.

        Raises:
            Failed: it may not run, or it has an error.
        """
        self._declare(sql)
        return self._explained(sql, "COSTS TRUE")

    def rows(self, sql: str, limit: int) -> dict[str, Any]:
        """Returns at most so many rows of a statement, each value as the server writes it. Raises as `plan`."""
        self._declare(sql)
        rows: list[list[str | None]] = []
        columns: list[dict[str, str]] = []
        size, complete = 0, False
        while not complete and len(rows) <= limit and size <= MAX_BYTES:
            self._limit()
            wanted = min(_BATCH, limit + 1 - len(rows))
            result = self._run(f"FETCH {wanted} FROM asked")
            columns = columns or self._columns(result)
            for at in range(result.ntuples):
                row = [_text(result.get_value(at, field)) for field in range(result.nfields)]
                size += sum(len(value or "") for value in row)
                if size <= MAX_BYTES:
                    rows.append(row)
            complete = result.ntuples < wanted
        complete = complete and len(rows) <= limit and size <= MAX_BYTES
        return {"columns": columns, "rows": rows[:limit], "complete": complete}

    def _declare(self, sql: str) -> None:
        """Opens the cursor, which runs nothing yet, and refuses functions that may not run."""
        if HIDING.search(sql):
            raise Failed("STATEMENT_REFUSED", "Leave out comments (`--`, `/*`) and names or texts with `U&`.")
        self._run(f"DECLARE asked NO SCROLL CURSOR FOR {sql}")
        names = called(sql) | called(self._explained(sql, "VERBOSE TRUE, COSTS FALSE"))
        result = self._run(REFUSED, _array(names), _array(HARMLESS))
        refused = [_text(result.get_value(row, 0)) or "" for row in range(result.ntuples)]
        if refused:
            raise Failed(
                "FUNCTION_DENIED",
                f"The functions {', '.join(refused)} may not run here. Use built-in functions without side effects.",
            )

    def _explained(self, sql: str, options: str) -> str:
        result = self._run(f"EXPLAIN ({options}) {sql}")
        return "\n".join(_text(result.get_value(row, 0)) or "" for row in range(result.ntuples))

    def _columns(self, result: Any) -> list[dict[str, str]]:
        types = [str(result.ftype(at)) for at in range(result.nfields)]
        modifiers = [str(result.fmod(at)) for at in range(result.nfields)]
        sql = "SELECT format_type(t, m) FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY AS a (t, m, at) ORDER BY at"
        named = self._run(sql, _array(types), _array(modifiers))
        return [
            {"name": (result.fname(at) or b"").decode(), "type": _text(named.get_value(at, 0)) or ""}
            for at in range(result.nfields)
        ]

    def _limit(self) -> None:
        left = int(1000 * (self._ends - time.monotonic()))
        if left <= 0:
            raise Failed("STATEMENT_TIMEOUT", "The statement took too long. Ask for less.")
        self._run(f"SET LOCAL statement_timeout = {left}")

    def _run(self, sql: str, *values: str) -> Any:
        """Runs one statement by the extended protocol, which accepts no second one."""
        result = self._raw.pgconn.exec_params(sql.encode(), [value.encode() for value in values])
        if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            return result
        state = _text(result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)) or ""
        message = _text(result.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY)) or "the connection ended"
        if state == "57014":
            raise Failed("STATEMENT_TIMEOUT", "The statement took too long. Ask for less.")
        if state == "42501":
            raise Failed("NOT_PERMITTED", f"The login of the connection may not read this: {message}.")
        raise Failed("STATEMENT_REFUSED", f"The server refused the statement: {message}.")


def called(text: str) -> set[str]:
    """Returns what may be names of functions in a statement or plan, also inside of texts."""
    return {name.lower() for name in _CALL.findall(text)} | set(_QUOTED_CALL.findall(text))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _array(values: Any) -> str:
    escaped = (str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"
