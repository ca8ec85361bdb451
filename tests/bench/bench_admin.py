"""Rights: what a check costs by the number of grants, and what a filtered first page costs by their kind.

    python tests/bench/bench_admin.py [--postgresql URL]

The principal holds exactly the grants that a row names. Lists are the select that the API runs: 100,000 resources of
one kind in 1,000 projects of one organization, the newest 50 of those that may be seen.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
RESOURCES, PROJECTS = 100_000, 1_000
PERMISSION, KIND = "bench.thing.get", "bench.thing"
ORGANIZATION = "org_default"


def run(postgresql_url: str = "") -> list[dict[str, Any]]:
    """The rows of the report."""
    from core.db import METADATA, Database
    from migrations import tables  # noqa: F401 - registers them

    rows = _checks()
    with tempfile.TemporaryDirectory() as folder:
        urls = {"SQLite": f"sqlite:///{folder}/bench.db"}
        if url := postgresql_url or os.environ.get("HEADWATER_BENCH_POSTGRESQL", ""):
            urls["PostgreSQL"] = url
        for name, url in urls.items():
            database = Database(url)
            METADATA.create_all(database.engine)
            _fill(database)
            rows += _lists(database, name)
            rows.append(_compiling(database, name))
            database.close()
    return rows


def _checks() -> list[dict[str, Any]]:
    from api.kernel.permissions.access import Access
    from api.kernel.roles import Role
    from api.kernel.securable import Securable

    permissions = {PERMISSION: Role.VIEWER} | {f"bench.other{n}.get": Role.VIEWER for n in range(500)}
    rows = []
    for count in (100, 1_000, 5_000):
        rules = [_rule(n, KIND, f"thg_{n}") for n in range(count)]
        access = Access(rules, permissions)
        places = [Securable(KIND, f"thg_{n * 7 % (2 * count)}", ORGANIZATION, f"prj_{n % 50}") for n in range(2_000)]
        assert sum(access.allows(PERMISSION, place) for place in places) >= len(places) // 4

        def check(access: Access = access, places: list[Securable] = places) -> None:
            for place in places:
                access.allows(PERMISSION, place)

        each = _median(check, 15) / len(places)
        others = iter([f"bench.other{n}.get" for n in range(500)])

        def first(access: Access = access, others: Iterator[str] = others, place: Securable = places[0]) -> None:
            access.allows(next(others), place)

        once = _median(first, 15)
        rows.append(_row(f"check among {count:,} grants", each, "< 0.2 ms", "once a permission was asked for"))
        rows.append(
            _row(
                f"first check of a permission among {count:,} grants",
                once,
                "< 0.2 ms",
                "finds the rules that speak of it",
            )
        )
    return rows


def _lists(database: Any, name: str) -> list[dict[str, Any]]:
    import sqlalchemy as sa

    from api.kernel.permissions.access import Access
    from api.kernel.roles import Role
    from api.kernel.storage import store
    from api.kernel.tables import RESOURCE

    cases = {
        "one grant on the organization": [_rule(0, "admin.organization", ORGANIZATION)],
        "200 grants on projects": [_rule(n, "admin.project", f"prj_{n * 5:04}") for n in range(200)],
        "1,000 grants on single resources": [_rule(n, KIND, f"thg_{n * 97:06}") for n in range(1_000)],
        "100 grants on projects, 500 on single resources, 50 denials": [
            *(_rule(n, "admin.project", f"prj_{n:04}") for n in range(100)),
            *(_rule(n, KIND, f"thg_{n * 97:06}") for n in range(500)),
            *(replace(_rule(n, KIND, f"thg_{n * 1000 + 1:06}"), denies=True) for n in range(50)),
        ],
        "10 grants on the oldest resources": [_rule(n, KIND, f"thg_{n:06}") for n in range(10)],
    }
    rows = []
    for label, rules in cases.items():
        access = Access(rules, {PERMISSION: Role.VIEWER})

        def page(access: Access = access) -> list[Any]:
            with database.read() as connection:
                select = sa.select(*store.COLUMNS).where(RESOURCE.c.kind == KIND, RESOURCE.c.deleted_at.is_(None))
                select = select.where(access.where(PERMISSION)).order_by(RESOURCE.c.id.desc()).limit(51)
                return list(connection.execute(select))

        assert len(page()) == (len(rules) if "oldest" in label else 51)
        milliseconds = _median(page, 15)
        rows.append(_row(f"first page of {RESOURCES:,}, {label}", milliseconds, "< 50 ms", name))
    return rows


def _compiling(database: Any, name: str) -> dict[str, Any]:
    """What the first request of a credential costs: its grants are read and compiled."""
    from api.kernel.permissions import grants
    from api.kernel.permissions.grants import GrantRow
    from api.kernel.roles import Role
    from core import clock

    with database.write() as connection:
        for n in range(5_000):
            place = (f"thg_{n:06}", KIND, ORGANIZATION, None)
            row = GrantRow(f"gra_{n}", "usr_bench", None, PERMISSION, "ALLOW", *place, "", None, clock.now(), "bench")
            grants.insert(connection, row)

    def compile() -> None:
        with database.read() as connection:
            assert len(grants.access_of(connection, "usr_bench", {PERMISSION: Role.VIEWER}).rules) >= 5_000

    return _row("compile the rights of a principal with 5,000 grants", _median(compile, 9), "", name)


def _rule(n: int, kind: str, id: str) -> Any:
    from api.kernel.permissions.rule import Rule

    return Rule(f"gra_{n}", "usr_bench", "", id, kind, denies=False, patterns=("bench.*.get",))


def _fill(database: Any) -> None:
    from api.kernel.tables import RESOURCE
    from core import clock

    now = clock.now()
    row = {
        "kind": KIND,
        "organization_id": ORGANIZATION,
        "owner": "x",
        "state": "ACTIVE",
        "generation": 1,
        "version": 1,
    }
    row |= {"created_at": now, "created_by": "x", "updated_at": now, "updated_by": "x", "deleted_at": None}
    row |= {"labels": {}, "spec": {"title": "A thing"}, "status": {"state": "ACTIVE"}}
    with database.write() as connection:
        for start in range(0, RESOURCES, 10_000):
            batch = []
            for n in range(start, start + 10_000):
                project = f"prj_{n % PROJECTS:04}"
                own = {"id": f"thg_{n:06}", "name": f"t{n}", "project_id": project, "scope_id": project}
                batch.append(row | own)
            connection.execute(RESOURCE.insert(), batch)
        connection.exec_driver_sql("ANALYZE")


def _median(function: Callable[[], Any], times: int) -> float:
    found = []
    function()
    for _ in range(times):
        before = time.perf_counter()
        function()
        found.append((time.perf_counter() - before) * 1000)
    return median(found)


def _row(name: str, headwater: float, goal: str, note: str) -> dict[str, Any]:
    figures = {"ours_ms": round(headwater, 4), "peer_ms": None, "ratio": ""}
    return {"name": name, "peer": "", **figures, "goal": goal, "note": note}


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgresql", default="", help="an empty database to measure, too")
    for row in run(parser.parse_args().postgresql):
        print(f"{row['name']:62} {row['ours_ms']:>10} ms  {row['goal']:9} {row['note']}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
