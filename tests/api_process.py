"""One API in the test's own process, with callers of every role."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from api.kernel.application import Application
from api.kernel.credentials import passwords, tokens
from api.kernel.kinds.service import Service
from api.kernel.operations.service import SERVICE as OPERATIONS
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.main import create_app
from api.services.admin.logic import bootstrap
from api.services.admin.service import SERVICE as ADMIN
from core import clock
from core.db import Database
from core.events import EVENT
from core.ports import Orchestrator
from core.publisher import Publisher
from core.settings import Settings, load_settings
from migrations.tables import METADATA
from tests.api_caller import Caller, Reply
from tests.databases import alone
from tests.orchestration import FakeOrchestrator

__all__ = ["PASSWORD", "ROLES", "Api", "Caller", "Reply", "prepare", "running", "running_service", "serving"]

PASSWORD = "a long enough password"
ROLES = ("admin", "editor", "viewer")
"""Users of every prepared database, each with the role of this name."""
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


class Api:
    """The application, its database and callers, with the `tokens` they have, or with new ones."""

    def __init__(self, app: Application, tokens: Mapping[str, str] | None = None) -> None:
        self.app = app
        self.database = app.platform.database
        self.anonymous = Caller(app, None)
        known = tokens or {}
        self.admin, self.editor, self.viewer = (
            Caller(app, known[name]) if name in known else self.caller(name) for name in ROLES
        )

    def caller(self, name: str, **options: Any) -> Caller:
        expires = clock.now() + timedelta(hours=1)
        return Caller(self.app, tokens.issue_token(self.database, name, label="test", expires=expires), **options)

    def events(self, prefix: str = "", *, after: int = 0, subject: str = "") -> list[dict[str, Any]]:
        """Audit rows whose type starts so, oldest first: above the sequence `after`, and of one `subject` if given."""
        select = sa.select(EVENT).where(EVENT.c.sequence > after).order_by(EVENT.c.sequence)
        if subject:
            select = select.where(EVENT.c.subject == subject)
        with self.database.read() as connection:
            return [dict(row) for row in connection.execute(select).mappings() if row["type"].startswith(prefix)]

    def last_sequence(self) -> int:
        """Returns the sequence of the newest audit row; 0 while there is none."""
        with self.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.max(EVENT.c.sequence))).scalar_one() or 0)


@cache
def password_hash() -> str:
    return passwords.hash_password(PASSWORD)


def prepare(settings: Settings) -> None:
    """Gives the database all tables and a user of each role, all with `PASSWORD`; whatever was in it is gone."""
    url = sa.make_url(settings.effective_database_url)
    prepared = _prepared()
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).write_bytes(prepared.file)
        return
    with alone(url) as connection:
        if connection.execute("SELECT to_regnamespace(%s)", [prepared.schema]).fetchone() == (None,):
            prepared.store(url)
        connection.execute(prepared.script)


@dataclass
class Prepared:
    """A database with a user of each role and a token of each."""

    file: bytes
    """As a file of SQLite."""

    rows: list[tuple[sa.Table, list[dict[str, Any]]]]
    tokens: dict[str, str]

    schema: str = field(default_factory=lambda: f"prepared_{uuid.uuid4().hex}")
    """The schema of PostgreSQL that holds the rows for the tests to come. Each process has its own tokens."""

    def store(self, url: sa.URL) -> None:
        """Creates all tables in a PostgreSQL database, and the rows in the schema."""
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            METADATA.create_all(connection)
            connection.execute(sa.schema.CreateSchema(self.schema))
            for table, rows in self.rows:
                connection.execute(sa.text(f'CREATE TABLE {self.schema}."{table.name}" (LIKE "{table.name}")'))
                connection.execute(table.to_metadata(sa.MetaData(), schema=self.schema).insert(), rows)
        engine.dispose()

    @cached_property
    def script(self) -> bytes:
        """SQL that empties all tables and fills them from the schema, in one round trip."""
        delete = [f'DELETE FROM "{table.name}"' for table in reversed(METADATA.sorted_tables)]
        fill = [f'INSERT INTO "{table.name}" SELECT * FROM {self.schema}."{table.name}"' for table, _ in self.rows]
        return "; ".join([*delete, *fill]).encode()


@cache
def _prepared() -> Prepared:
    """To build one takes half a second, so all tests of a process have copies of one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "metadata.db")
        database = Database(f"sqlite:///{file}")
        METADATA.create_all(database.engine)
        bootstrap.bootstrap(database, PASSWORD)
        with database.write() as connection:
            for role in (Role.VIEWER, Role.EDITOR):
                bootstrap.add_user(connection, role.value.lower(), password_hash(), role=role)
        # The first test may have stopped the clock anywhere.
        issued = {name: tokens.issue_token(database, name, label="test", expires=FOREVER) for name in ROLES}
        with database.read() as connection:
            rows = [(table, connection.execute(table.select()).mappings().all()) for table in METADATA.sorted_tables]
        database.close()
        return Prepared(
            file.read_bytes(), [(table, [dict(row) for row in found]) for table, found in rows if found], issued
        )


@asynccontextmanager
async def running(
    home: Path,
    orchestrator: Orchestrator,
    *,
    publisher: Publisher | None = None,
    database_url: str = "",
    **variables: str,
) -> AsyncIterator[Api]:
    """An API over a fresh database, started and stopped."""
    environment = {"HEADWATER_HOME": str(home), **variables}
    if database_url:
        environment["HEADWATER_DATABASE_URL"] = database_url
    settings = load_settings(environment)
    prepare(settings)
    app = create_app(settings, orchestrator=orchestrator, publisher=publisher)
    stack = await app.startup()
    api = Api(app, _prepared().tokens)
    try:
        yield api
    finally:
        for caller in (api.anonymous, api.admin, api.editor, api.viewer):
            await caller.http.aclose()
        await stack.aclose()


@asynccontextmanager
async def running_service(home: Path, service: Service) -> AsyncIterator[Api]:
    """An API of one service that is not among those of `api.main`, or not as given, beside those that it needs."""
    settings = load_settings({"HEADWATER_HOME": str(home)})
    prepare(settings)
    async with serving(settings, service) as api:
        yield api


@asynccontextmanager
async def serving(settings: Settings, service: Service) -> AsyncIterator[Api]:
    """A process of one service over a database that was prepared; there may be several."""
    platform = Platform(settings, Database(settings.effective_database_url), FakeOrchestrator())
    beside = [other for other in (ADMIN, OPERATIONS) if other.name != service.name]
    app = Application(platform, [*beside, service])
    stack = await app.startup()
    try:
        yield Api(app)
    finally:
        await stack.aclose()
