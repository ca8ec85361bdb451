"""The unmodified Feast client reads and writes online features, which are those of the catalog."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from api.services.ai_catalog.logic.feature_views import open_online_store
from core import clock
from features.online import serving
from features.rows import ViewColumns, microseconds, read_rows
from lakehouse.tables import Tables
from tests.api_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).parent / "features.py"
PYTHON = Path(__file__).parents[3] / ".venv-feast" / "bin" / "python"
"""The environment of `make setup-feast`."""
TABLE, ONLINE = "flights.gold.daily_cancellations", "flights.gold.route_delays"
FUNCTIONS = [node for node in ast.parse(PROGRAM.read_text()).body if isinstance(node, ast.FunctionDef)]
NAMES = [function.name for function in FUNCTIONS if function.decorator_list]


def serve(server: Server, *spent: float) -> None:
    platform = server.api.app.platform
    tables = Tables.from_settings(platform.settings, platform.database)
    seen_at = pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * len(spent), pa.timestamp("us", "UTC"))
    visits = pa.array([2**53 + 1] * len(spent), pa.int64())
    customers = pa.array(range(len(spent)), pa.int64())
    tables.overwrite(
        TABLE, pa.table({"customer": customers, "seen_at": seen_at, "spent": list(spent), "visits": visits})
    )
    snapshot = tables.snapshot(TABLE)
    made = serving(
        read_rows(snapshot, ViewColumns(("customer",), "seen_at", ("spent", "visits"))),
        table=TABLE,
        table_id=snapshot.table_id,
        table_version=snapshot.version,
        as_of=microseconds(clock.now()),
    )
    platform.part(open_online_store).write(ONLINE, made.served, made.batches)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("home"), HEADWATER_RATE_LIMIT="") as started:
        admin = {"authorization": f"Bearer {started.tokens['admin']}"}
        place = {"project_id": "flights"}
        keys = [{"name": "customer", "type": "INTEGER"}]
        view = {"title": "S", "entity_id": "customer", "asset": TABLE, "online_asset": ONLINE, "timestamp": "seen_at"}
        with httpx.Client(base_url=f"{started.url}/api/v1/", headers=admin) as client:
            for path, body in (
                ("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}),
                ("ai-catalog/entities", {"name": "customer", "spec": {"title": "C", "keys": keys}, **place}),
                ("ai-catalog/feature-views", {"name": "daily-spending", "spec": view, **place}),
                (
                    "ai-catalog/feature-services",
                    {"name": "churn", "spec": {"title": "C", "views": [{"view_id": "daily-spending"}]}, **place},
                ),
            ):
                client.post(path, json=body).raise_for_status()
        serve(started, 1.5, float("nan"))
        yield started


@pytest.fixture(scope="module")
def results(server: Server) -> dict[str, str]:
    assert PYTHON.exists(), "run `make setup-feast`"
    environment = dict(os.environ) | {
        "FEAST_URL": server.url,
        "FEAST_TOKEN": server.tokens["admin"],
        "FEAST_USAGE": "False",
    }
    done = subprocess.run([PYTHON, PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_client(results: dict[str, str], name: str) -> None:
    assert results[name] == "", results[name]


def post(server: Server, path: str, body: Any, caller: str = "admin") -> httpx.Response:
    headers = {"authorization": f"Bearer {server.tokens[caller]}"} if caller else {}
    return httpx.post(f"{server.url}/feast/{path}", json=body, headers=headers, timeout=60)


def get(server: Server, path: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    return httpx.get(f"{server.url}/feast/{path}", headers=headers, timeout=60)


FEATURES = {"entities": {"customer": [0, 7]}, "features": ["daily_spending:spent"]}


def test_statuses_and_event_times(server: Server) -> None:
    answer = post(server, "flights/get-online-features", FEATURES).json()
    assert answer["metadata"]["feature_names"] == ["customer", "spent"]
    assert answer["results"][1] == {
        "values": [1.5, None],
        "statuses": ["PRESENT", "NOT_FOUND"],
        "event_timestamps": ["2026-03-01T00:00:00Z", "1970-01-01T00:00:00Z"],
    }


def test_who_may_read_and_write(server: Server) -> None:
    assert get(server, "health").json() == {}
    assert post(server, "flights/get-online-features", FEATURES, "").status_code == 401
    assert post(server, "flights/get-online-features", FEATURES, "viewer").status_code == 200
    assert post(server, "get-online-features", FEATURES, "viewer").status_code in (200, 400)
    rows = {"customer": [0], "event_timestamp": ["2026-03-05T00:00:00"], "spent": [2.0], "visits": [1]}
    for path, body in (
        ("write-to-online-store", {"feature_view_name": "daily_spending", "df": rows}),
        ("push", {"push_source_name": "daily_spending", "df": rows}),
        ("materialize", {"feature_views": ["daily_spending"]}),
    ):
        assert post(server, f"flights/{path}", body, "viewer").status_code == 403, path
    server.add_tenant("other")
    assert post(server, "flights/get-online-features", FEATURES, "other").status_code == 404


def test_hostile_bodies_are_refused(server: Server) -> None:
    push = {"push_source_name": "daily_spending", "df": {"customer": [0], "event_timestamp": ["2026-03-05T00:00:00"]}}
    for path, body in (
        ("get-online-features", FEATURES | {"entities": {}}),
        ("get-online-features", FEATURES | {"entities": {"customer": []}}),
        ("get-online-features", FEATURES | {"entities": {"customer": [1], "other": [1, 2]}}),
        ("get-online-features", FEATURES | {"entities": {"customer": ["1"]}}),
        ("get-online-features", FEATURES | {"entities": {"customer": [1.5]}}),
        ("get-online-features", FEATURES | {"entities": {"buyer": [1]}}),
        ("get-online-features", FEATURES | {"features": ["spent"]}),
        ("get-online-features", FEATURES | {"feature_service": "churn"}),
        ("get-online-features", []),
        ("push", push | {"to": "offline"}),
        ("push", push | {"df": {"customer": [0]}}),
        ("push", push | {"df": push["df"] | {"event_timestamp": ["now"]}}),
        ("push", push | {"df": push["df"] | {"event_timestamp": ["2999-01-01T00:00:00"]}}),
        ("materialize", {"version": "v2"}),
    ):
        answer = post(server, f"flights/{path}", body)
        assert answer.status_code in (400, 422), (path, body, answer.text)
        assert answer.json()["detail"]
    assert post(server, "flights/search", {}).status_code == 405
    assert post(server, "nope/get-online-features", FEATURES).status_code == 404
    assert get(server, "flights/push").status_code == 405


def test_materialization_is_an_operation(server: Server) -> None:
    answer = post(server, "flights/materialize-incremental", {"end_ts": "2026-03-05T00:00:00"})
    assert answer.status_code == 200, answer.text
    headers = {"authorization": f"Bearer {server.tokens['admin']}"}
    operation = httpx.get(f"{server.url}/api/v1/operations/{answer.json()['operation']}", headers=headers).json()
    assert operation["assets"] == [ONLINE]
