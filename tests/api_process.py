"""One API in the test's own process, with callers of every role."""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import httpx
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
from tests import one_event
from tests.databases import alone
from tests.orchestration import FakeOrchestrator

PASSWORD = "a long enough password"
ROLES = ("admin", "editor", "viewer")
"""Users of every prepared database, each with the role of this name."""
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass
class Reply:
    """An answer, checked on arrival: whatever is an error must be a problem document."""

    response: httpx.Response

    def __post_init__(self) -> None:
        if self.status >= 400 and not self.response.request.url.path.startswith("/health"):
            assert self.response.headers["content-type"] == "application/problem+json", self.response.text
            body = self.json
            assert body["status"] == self.status
            assert body["request_id"] == self.response.headers["x-request-id"]
            if operation := self.response.headers.get("x-operation"):
                assert operation.startswith(f"{body['service']}_"), body
            for field in ("type", "title", "detail", "instance", "reason", "service", "metadata", "errors"):
                assert field in body
            assert body["service"], "a reader must know which service failed"

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def json(self) -> Any:
        return self.response.json()

    @property
    def headers(self) -> httpx.Headers:
        return self.response.headers

    @property
    def reason(self) -> str:
        return str(self.json["reason"])


ANSWER_SECONDS = 120
"""A response that does not end by then, such as a stream that should have been refused, fails its test."""


class Caller:
    """Sends requests as one principal, or without a token."""

    def __init__(self, app: Application, token: str | None, *, client: str = "127.0.0.1") -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.app = app
        self.token = token
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=(client, 1)), base_url="http://headwater.test", headers=headers
        )

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        url = path if path.startswith("/") else f"/api/v1/{path}"
        async with asyncio.timeout(ANSWER_SECONDS):
            reply = Reply(await self.http.request(method, url, **options))
        if method not in ("GET", "HEAD") and reply.status < 400:
            one_event.require(self.app.platform.database, reply.headers.get("x-request-id", ""))
        return reply

    async def get(self, path: str, **options: Any) -> Reply:
        return await self("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        return await self("POST", path, **(options | ({} if body is None else {"json": body})))

    async def events(self, path: str, **options: Any) -> list[dict[str, Any]]:
        """Reads a stream of server-sent events to its end."""
        reply = await self.get(path, **options)
        assert reply.status == 200, reply.response.text
        found = []
        for block in reply.response.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                found.append({"id": fields.get("id"), "event": fields["event"], "data": json.loads(fields["data"])})
        return found

    async def stream(self, path: str, count: int, *, last_event_id: str = "", **query: str) -> list[dict[str, Any]]:
        """The first events of a stream that has no end, which this caller then leaves."""
        found: list[dict[str, Any]] = []
        full = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if received:
                await full.wait()
                return {"type": "http.disconnect"}
            received.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
                return
            for line in message["body"].decode().splitlines():
                name, _, value = line.partition(": ")
                if name == "id":
                    found.append({"id": value})
                elif name == "data":
                    found[-1]["data"] = json.loads(value)
            if len([one for one in found if "data" in one]) >= count:
                full.set()

        received: list[bool] = []
        scope = self._scope(path, query)
        if last_event_id:
            scope["headers"].append((b"last-event-id", last_event_id.encode()))
        await asyncio.wait_for(self.app(scope, receive, send), 60)
        return found

    async def leave(self, path: str, *, pieces: int) -> None:
        """Asks for a stream and leaves after so many pieces; none: before the answer begins."""
        gone = asyncio.Event()
        if not pieces:
            gone.set()
        received: list[Any] = []

        async def receive() -> dict[str, Any]:
            if not received:
                received.append(b"")
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            received.append(message)
            if len([one for one in received if one and one["type"] == "http.response.body"]) >= pieces:
                gone.set()
                await asyncio.Event().wait()  # the client takes no more

        await asyncio.wait_for(self.app(self._scope(path, {}), receive, send), 60)

    async def begun(self, path: str, query: dict[str, str], *, seconds: float = 0.05) -> tuple[int, bytes]:
        """The status of a stream that has no end, and what it says at once: this caller then leaves."""
        gone, began, second_piece = asyncio.Event(), asyncio.Event(), asyncio.Event()
        status: list[int] = []
        pieces_sent: list[bytes] = []
        asked: list[bool] = []

        async def receive() -> dict[str, Any]:
            if not asked:
                asked.append(True)
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
                return
            pieces_sent.append(message["body"])
            began.set()
            if len(pieces_sent) > 1 or not message.get("more_body"):
                second_piece.set()

        serving = asyncio.create_task(self.app(self._scope(path, query), receive, send))
        waiting = asyncio.create_task(second_piece.wait())
        # It begins whenever it does; what it then says beyond its first word it says at once.
        beginning = asyncio.create_task(began.wait())
        await asyncio.wait({serving, beginning}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({serving, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()
        waiting.cancel()
        gone.set()
        await asyncio.wait_for(serving, 60)
        return status[0], b"".join(pieces_sent)

    def _scope(self, path: str, query: dict[str, str]) -> Any:
        url = httpx.URL(path if path.startswith("/") else f"/api/v1/{path}", params=query)
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(b"host", b"headwater.test"), (b"authorization", f"Bearer {self.token}".encode())],
            "client": ("127.0.0.1", 1),
            "server": ("headwater.test", 80),
            "state": {},
        }


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
