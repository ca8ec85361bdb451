"""The metadata database goes away and comes back: refusals that say so meanwhile, and no restart afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from core import events
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator
from tests.ports import free_port

pytestmark = pytest.mark.slow


class Cable:
    """A TCP proxy of PostgreSQL's socket, which can be cut and restored."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self.port = free_port()
        self.restore()

    def restore(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        assert self._listener
        with self._lock:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
            except OSError:
                return
            with self._lock:
                if listener.fileno() < 0:  # cut since it accepted
                    client.close()
                    server.close()
                    return
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def cable(postgresql_url: str) -> Iterator[Cable]:
    folder = parse_qs(urlsplit(postgresql_url).query)["host"][0]
    made = Cable(f"{folder}/.s.PGSQL.5432")
    yield made
    made.cut()


async def project(api: Api, name: str) -> int:
    return (await api.admin.post("admin/projects", {"name": name, "spec": {"title": name}})).status


async def test_503_while_it_is_away_and_all_as_before_when_it_is_back(
    cable: Cable, postgresql_url: str, tmp_path: Path
) -> None:
    url = sa.make_url(postgresql_url)
    through = url.set(host="127.0.0.1", port=cable.port, query={}).render_as_string(hide_password=False)
    async with running(tmp_path, FakeOrchestrator(), database_url=through) as api:
        assert await project(api, "before") == 201
        for turn in range(3):
            cable.cut()
            for _ in range(5):
                reply = await api.admin.post("admin/projects", {"name": f"lost_{turn}", "spec": {"title": "x"}})
                assert (reply.status, reply.headers["retry-after"]) == (503, "1")
                assert str(url.password or "no password") not in reply.response.text
                assert (await api.viewer.get("admin/projects")).status == 503
            ready = await api.anonymous.get("/health/ready")
            assert (ready.status, ready.json["parts"]["database"]) == (503, False)
            assert (await api.anonymous.get("/health/live")).status == 200
            cable.restore()
            async with asyncio.timeout(60):
                while await project(api, f"back_{turn}") != 201:
                    await asyncio.sleep(0.1)
        names = [item["name"] for item in (await api.admin.get("admin/projects")).json["items"]]
        assert names == ["before", "back_0", "back_1", "back_2"], "what was refused did not happen"
        with api.database.read() as connection:
            assert events.verify_chain(connection) is None


async def test_of_two_workers_that_change_one_thing_each_change_counts(postgresql_url: str, tmp_path: Path) -> None:
    """Two processes' worth of applications over one database: nothing is lost, and one `If-Match` wins once."""
    from api.main import create_app

    async with running(tmp_path, FakeOrchestrator(), database_url=postgresql_url) as api:
        other_app = create_app(api.app.platform.settings, orchestrator=FakeOrchestrator())
        stack = await other_app.startup()
        other = Api(other_app)
        path = "/api/v1/admin/projects/shared"
        assert await project(api, "shared") == 201
        labels = [{"labels": {f"k{n}": "v"}} for n in range(40)]
        callers = (api.admin, other.admin)
        replies = await asyncio.gather(*(callers[n % 2]("PATCH", path, json=body) for n, body in enumerate(labels)))
        assert {reply.status for reply in replies} == {200}
        seen = (await api.admin.get("admin/projects/shared")).json
        assert (len(seen["labels"]), seen["version"]) == (40, 41)
        head = {"if-match": seen["etag"]}
        tries = [callers[n % 2]("PATCH", path, json={"spec": {"title": str(n)}}, headers=head) for n in range(20)]
        assert sorted(reply.status for reply in await asyncio.gather(*tries)) == [200, *[412] * 19]
        with api.database.read() as connection:
            assert events.verify_chain(connection) is None
        await stack.aclose()
