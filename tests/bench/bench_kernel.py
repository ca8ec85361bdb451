"""The kernel alone: creating against a bare insert, lists against their length, and a registry of 2,400 operations.

    python tests/bench/bench_kernel.py

Creates run through the unit of work as a request runs them: permission, validation, revision, audit row and event in
one transaction; the bare side inserts one row of the same content by SQLAlchemy Core, on the same durable SQLite. The
made-up registry is written as source files, imported and served like any other.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
SERVICES, KINDS_EACH, ACTIONS_EACH = 14, 20, 2

KIND = '''
class Thing{n}Spec(Spec):
    """What it is."""
    title: Title
    """Name for people."""
    description: Text = ""
    """What it is for."""
    {fields}

class Thing{n}State(StrEnum):
    """How it is."""
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"

class Thing{n}Status(Status):
    """How it is."""
    state: Thing{n}State = Thing{n}State.ACTIVE
    """Whether it is used."""

class Thing{n}(Resource[Thing{n}Spec, Thing{n}Status]):
    """A made-up thing."""

THING{n} = ResourceKind(
    Thing{n}, plural="things{n}", prefix="thg", level=Level.PROJECT, methods=METHODS, filter_by=("spec.field_1",)
)

@THING{n}.transition("pause", request=Request, sources=(Thing{n}State.ACTIVE,), to=Thing{n}State.PAUSED)
def pause_thing{n}(unit: Unit, thing: Thing{n}, request: Request) -> None:
    """Pauses it."""

@THING{n}.transition("resume", request=Request, sources=(Thing{n}State.PAUSED,), to=Thing{n}State.ACTIVE)
def resume_thing{n}(unit: Unit, thing: Thing{n}, request: Request) -> None:
    """Resumes it."""
'''
HEAD = """
from __future__ import annotations
from enum import StrEnum
from api.kernel.models import Request
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.service import Service
from api.kernel.kinds.stored_kind import Method
from api.kernel.kinds.unit import Unit
METHODS = frozenset({Method.LIST, Method.GET, Method.CREATE, Method.UPDATE, Method.DELETE, Method.RESTORE})
"""
FIELDS = "\n    ".join(f'field_{i}: int = 0\n    """Number {i}."""' for i in range(1, 13))

SERVE = """
import os, asyncio, gc, json, resource, sys, time
started = time.perf_counter()
from core.settings import load_settings
from core.db import Database
from api.kernel.application import Application
from api.kernel.operations.service import SERVICE as OPERATIONS
from api.kernel.platform import Platform
from api.services.admin.service import SERVICE as ADMIN
from tests.orchestration import FakeOrchestrator
sys.path.insert(0, sys.argv[1])
services = [__import__(f"made_up_{n}").SERVICE for n in range(int(sys.argv[2]))]
settings = load_settings()
database = Database(settings.effective_database_url)
app = Application(Platform(settings, database, FakeOrchestrator()), [ADMIN, OPERATIONS, *services])
gc.collect(); gc.freeze()
ready = time.perf_counter() - started
memory = int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) / 1000

async def call(path, token, count):
    # The last of the calls tells what one costs; the first of all builds validators.
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [(b"authorization", b"Bearer " + token.encode())], "client": ("127.0.0.1", 1), "scheme": "http",
             "server": ("x", 1), "http_version": "1.1", "root_path": ""}
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    statuses = []
    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
    before = time.process_time()
    for _ in range(count):
        await app(dict(scope), receive, send)
    return (time.process_time() - before) / count * 1000, statuses[-1]

async def main():
    stack = await app.startup()
    token = sys.argv[3]
    things = [f"/api/v1/made-up-{n}/things{n * 20 + k}" for n in (0, len(services) - 1) for k in (0, 19)]
    for path in (things[0], things[-1], "/api/v1/made-up-0/nothing"):
        await call(path, token, 100)
    rounds = []
    for _ in range(7):
        rounds.append([(await call(p, token, 200))[0] for p in (things[0], things[-1], "/api/v1/made-up-0/nothing")])
    document = f"/api/v1/made-up-{len(services) - 1}/openapi.json"
    build, status = await call(document, token, 1)
    assert status == 200, status
    served, _ = await call(document, token, 20)
    await stack.aclose()
    operations = sum(len(service.endpoints) for service in services)
    print(json.dumps({"ready": ready, "memory": memory, "rounds": rounds, "build": build, "served": served,
                      "operations": operations, "kinds": sum(len(service.kinds) for service in services)}))
asyncio.run(main())
"""


def run() -> list[dict[str, Any]]:
    """The rows of the report."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_creates(Path(folder) / "a"), *_lists(Path(folder) / "b"), *_registry(Path(folder) / "c")]


def _creates(home: Path, count: int = 2000) -> list[dict[str, Any]]:
    from api.kernel.tables import RESOURCE
    from core import events
    from tests.resources import plain_row

    async def measure() -> dict[str, float]:
        """Median CPU milliseconds of each, one after the other in turns: a busy machine slows all of them alike."""
        async with _running(home) as api:
            context, values = _context(api), plain_row()

            def headwater(name: str) -> None:
                _create(api, context, name)

            def bare(name: str) -> None:
                with api.database.write() as connection:
                    connection.execute(RESOURCE.insert().values(**values | {"id": name, "name": name}))

            def without(name: str) -> None:
                original, events.append_all = events.append_all, lambda connection, all: 0
                _create(api, context, name)
                events.append_all = original

            used: dict[Any, list[float]] = {headwater: [], bare: [], without: []}
            for turn in range(count):
                for create, seconds in used.items():
                    before = time.thread_time()
                    create(f"{create.__name__}{turn}")
                    seconds.append(time.thread_time() - before)
            return {create.__name__: median(seconds[count // 10 :]) * 1000 for create, seconds in used.items()}

    found = asyncio.run(measure())
    note = "permission, validation, hooks, revision with diff, audit row with hash chain, event"
    limit = "two statements (new head, event), the digest, and the pages of seven indexes"
    rows = (
        ("create a resource: CPU", "bare Core insert", found["bare"], "≤ 2", note),
        ("create a resource: the audit's own share", "the same without audit", found["without"], "≤ 1.15", limit),
    )
    return [
        _row(case_name, peer, found["ours"], cost, found["ours"] / cost, goal, text)
        for case_name, peer, cost, goal, text in rows
    ]


def _lists(home: Path, many: int = 1_000_000) -> list[dict[str, Any]]:
    from tests.resources import fill_projects

    async def measure() -> list[tuple[str, float, float]]:
        async with _running(home) as api:
            found = {}
            for size in (1_000, many):
                fill_projects(api.database, size)
                for case_name, query in (
                    ("newest page by id", {}),
                    ("by name", {"order_by": "name"}),
                    ("by state", {"filter": 'state == "ACTIVE"'}),
                ):
                    path = "/api/v1/admin/projects"
                    for _ in range(3):
                        await api.admin.get(path, params={"page_size": 50, **query})
                    times = []
                    for _ in range(15):
                        before = time.perf_counter()
                        reply = await api.admin.get(path, params={"page_size": 50, **query})
                        times.append((time.perf_counter() - before) * 1000)
                        assert len(reply.json["items"]) == 50
                    found[case_name, size] = median(times)
            return [
                (case_name, found[case_name, many], found[case_name, 1_000])
                for case_name in ("newest page by id", "by name", "by state")
            ]

    rows = asyncio.run(measure())
    return [
        _row(f"list of 50 among 1,000,000, {case_name}", "among 1,000", big, small, big / small, "≤ 1.5", "SQLite")
        for case_name, big, small in rows
    ]


def _registry(folder: Path) -> list[dict[str, Any]]:
    folder.mkdir()
    for service in range(SERVICES):
        kinds = range(service * KINDS_EACH, (service + 1) * KINDS_EACH)
        names = ", ".join(f"THING{n}" for n in kinds)
        source = HEAD + "".join(KIND.format(n=n, fields=FIELDS) for n in kinds)
        source += f'\nSERVICE = Service("made_up_{service}", "Made up", [{names}], description="Made up.")\n'
        (folder / f"made_up_{service}.py").write_text(source)
    home = folder / "home"
    token = _token(home)
    command = [sys.executable, "-c", SERVE, str(folder), str(SERVICES), token]
    environment = {"HEADWATER_HOME": str(home), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    best = None
    for _ in range(2):  # the first run also writes the bytecode, as an installation does
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment)
        best = json.loads(done.stdout.strip().splitlines()[-1])
    assert best is not None
    first, last, miss = (median(column) for column in zip(*best["rounds"], strict=True))
    size = f"{best['kinds']} kinds, {best['operations']} operations"
    return [
        _row(f"{size}: ready", "", best["ready"] * 1000, None, None, "≤ 2 s", "imports included"),
        _row(f"{size}: memory", "", best["memory"], None, None, "≤ 150 MB", "", unit="MB"),
        _row("last route", "first route", last, first, last / first, "≤ 1.3", "CPU of a list, whole stack"),
        _row("a path that is not there", "first route", miss, first, miss / first, "≤ 1.3", ""),
        _row(
            "OpenAPI document of a service",
            "",
            best["served"],
            None,
            None,
            "≤ 5 ms",
            f"built once in {best['build']:.0f} ms",
        ),
    ]


def _running(home: Path) -> Any:
    from tests.api_process import running
    from tests.orchestration import FakeOrchestrator

    home.mkdir(exist_ok=True)
    return running(home, FakeOrchestrator())


def _token(home: Path) -> str:
    from datetime import timedelta

    from api.kernel.credentials.tokens import issue_token
    from core import clock
    from core.db import Database
    from core.settings import load_settings
    from tests.api_process import prepare

    home.mkdir()
    settings = load_settings({"HEADWATER_HOME": str(home)})
    prepare(settings)
    database = Database(settings.effective_database_url)
    token = issue_token(database, "admin", label="bench", expires=clock.now() + timedelta(hours=2))
    database.close()
    return token


def _context(api: Any) -> Any:
    from api.kernel.kinds.context import Context
    from api.kernel.permissions.grants import access_of
    from api.kernel.permissions.principal import Principal, PrincipalKind

    platform = api.app.platform
    endpoint = next(one for one in api.app.registry.endpoints if one.operation_id == "admin_create_project")
    with api.database.read() as connection:
        import sqlalchemy as sa

        from api.kernel.tables import PRINCIPAL

        id = connection.execute(sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.name == "admin")).scalar_one()
        access = access_of(connection, id, platform.permissions)
    principal = Principal(id, "admin", PrincipalKind.USER, "org_default", "tok", access)
    return lambda: Context(platform, endpoint, principal, request_id="req")


def _create(api: Any, context: Any, name: str) -> None:
    from api.kernel.kinds import standard
    from api.kernel.kinds.resource import Draft
    from api.kernel.kinds.unit import Unit
    from api.services.admin.kinds.project import PROJECT, ProjectSpec

    ctx = context()
    draft = Draft[ProjectSpec].model_validate_json(json.dumps({"name": name, "spec": {"title": "A project"}}))
    with api.database.write() as connection:
        unit = Unit(ctx, connection, writes=True)
        standard.create(unit, PROJECT, draft)
        ctx.record(connection, "succeeded", unit.events)


def _row(
    name: str,
    peer: str,
    headwater: float,
    peers: float | None,
    ratio: float | None,
    goal: str,
    note: str,
    unit: str = "ms",
) -> dict[str, Any]:
    figures = {
        "ours_ms": round(headwater, 4),
        "peer_ms": None if peers is None else round(peers, 4),
        "ratio": "" if ratio is None else round(ratio, 2),
    }
    return {"name": name, "peer": peer, **figures, "goal": goal, "note": note, "unit": unit}


def main() -> None:
    """Prints the rows."""
    for row in run():
        print(
            f"{row['name']:48} {row['ours_ms']!s:>10} {row['peer_ms']!s:>10}  x{row['ratio']!s:<6} {row['goal']:9} "
            f"{row['note']}"
        )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
