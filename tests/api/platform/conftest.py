"""What requests write, whoever serves them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The tables that requests have written so far; what runs beside them does not count."""
    found: set[str] = set()
    begin = Unit.__init__

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if table := re.match(r"(?:INSERT INTO|UPDATE|DELETE FROM) \"?(\w+)", statement):
            found.add(table[1])

    def watched(unit: Unit, ctx: Context, connection: Any, *, writes: bool) -> None:
        begin(unit, ctx, connection, writes=writes)
        if writes:
            sa.event.listen(connection, "before_cursor_execute", note)

    monkeypatch.setattr(Unit, "__init__", watched)
    return found
