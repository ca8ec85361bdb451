"""What requests write, whichever process serves them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from tests.api.admin.tenants import Tenant, tenant
from tests.api.platform.library import LIBRARY
from tests.api_process import Api, running_service


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


class Library(NamedTuple):
    """An API that serves the made-up service, and an organization in it."""

    api: Api
    home: Tenant


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def library(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Library]:
    """One API for all tests of a file, which name what they make differently."""
    async with running_service(tmp_path_factory.mktemp("home"), LIBRARY) as api:
        yield Library(api, await tenant(api, "home"))
