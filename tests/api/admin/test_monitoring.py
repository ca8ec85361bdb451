"""Monitoring: the state of the platform in numbers, for admins of the platform alone."""

from __future__ import annotations

import fcntl
import json
import os

import pytest

from api.kernel.breakers import Dependencies, Dependency
from api.kernel.http.metrics import Metrics
from api.services.admin.logic.measuring import quantile
from tests.api.admin.tenants import made, tenant
from tests.api_process import Api

PATH = "admin/monitoring/platform"


@pytest.mark.effect("admin_get_monitoring")
async def test_it_counts_what_was_requested_and_what_failed(api: Api) -> None:
    assert (await api.admin.get("admin/projects")).status == 200
    assert (await api.admin.get("admin/projects/no-such")).status == 404
    state = await made(api.admin.get(PATH))
    loads = {load["operation"]: load for load in state["operations"]}
    listed, got = loads["admin_list_projects"], loads["admin_get_project"]
    assert (listed["requests"], listed["refused"], listed["failed"]) == (1, 0, 0)
    assert (got["requests"], got["refused"]) == (1, 1)
    assert 0 < listed["seconds"] <= listed["p95_seconds"] <= 60
    assert state["in_flight"] == 1, "this request"
    assert {pool["name"] for pool in state["pools"]} >= {"metadata writes", "SQL queries"}


async def test_it_measures_the_database_the_disk_and_each_gauge(api: Api) -> None:
    def broken() -> float:
        raise RuntimeError("no disk")

    api.app.platform.part(Metrics).gauge_from("headwater_broken", "Fails.", broken)
    state = await made(api.admin.get(PATH))
    assert state["database"]["bytes"] > 0
    assert 0 < state["database"]["seconds"] < 10
    (home, *_) = state["volumes"]
    assert 0 < home["free_bytes"] <= home["total_bytes"]
    gauges = {gauge["name"]: gauge for gauge in state["gauges"]}
    assert {value["label"]: value["value"] for value in gauges["headwater_operations"]["values"]}["RUNNING"] == 0
    assert gauges["headwater_broken"]["values"] is None, "not measured is not zero"


async def test_it_shows_the_processes_of_the_supervisor_and_that_there_is_none(api: Api) -> None:
    assert (await made(api.admin.get(PATH)))["processes"] is None
    folder = api.app.platform.settings.run_dir
    folder.mkdir(parents=True)
    child = {"name": "api", "state": "READY", "pid": os.getpid(), "restarts": 2, "exit_code": 1, "log": "/secret"}
    gone = child | {"name": "gone", "state": "RESTARTING", "pid": None}
    (folder / "supervisor.json").write_text(json.dumps({"pid": 1, "processes": [child, gone]}))
    with (folder / "supervisor.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = await made(api.admin.get(PATH))
    running, ended = state["processes"]
    assert (running["restarts"], running["exit_code"]) == (2, 1)
    assert running["memory_bytes"] > 1_000_000
    assert (ended["state"], ended["memory_bytes"], ended["started_at"]) == ("RESTARTING", None, None)
    assert "/secret" not in json.dumps(state)


async def test_it_shows_open_breakers(api: Api) -> None:
    async def fail() -> None:
        raise ConnectionError

    dependency = Dependency("mail", timeout_seconds=1, is_failure=lambda _: True, failures=1)
    api.app.platform.part(Dependencies).add(dependency)
    with pytest.raises(ConnectionError):
        await dependency.call(fail, idempotent=False)
    state = await made(api.admin.get(PATH))
    (mail,) = [one for one in state["dependencies"] if one["name"] == "mail"]
    assert (mail["breaker"], mail["calls"], mail["failures"]) == ("OPEN", 1, 1)


async def test_only_admins_of_the_platform_see_it(api: Api) -> None:
    one = await tenant(api, "one")
    for caller in (api.editor, api.viewer, one.admin):
        assert (await caller.get(PATH)).status == 403
    assert (await api.anonymous.get(PATH)).status == 401
    assert (await api.admin.get("admin/monitoring/other")).status == 404


def test_a_quantile_is_a_bound_or_unknown() -> None:
    assert quantile([0] * 14) is None
    assert quantile([95, 5, *[0] * 12]) == 0.001
    assert quantile([94, 6, *[0] * 12]) == 0.0025
    assert quantile([0] * 13 + [1]) is None
