"""Health monitors: due checks, thresholds, what is told and when, uptime, and the assets that depend on a source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from api.services.connections.connection_tables import HEALTH_CHECK, HEALTH_MONITOR
from api.services.connections.logic import health_watch
from api.services.connections.logic.health_checks import CHANGED
from api.services.connections.logic.health_watch import HealthWatch
from connectors import asking
from connectors.asking import StepOutcome
from core import clock
from tests.api.admin.tenants import grant, made, user
from tests.api.both_databases import on_both
from tests.api.connections.conftest import Project
from tests.api.connections.test_schema_snapshots import declare, record_read
from tests.api.platform.change_streams import listening
from tests.orchestration import FakeOrchestrator, node
from tests.remote_postgresql import RemotePostgreSql

PASSED = [StepOutcome("resolve", "Resolve the name", "PASSED", "", "It has an address.", 1)]
FAILED = [StepOutcome("resolve", "Resolve the name", "FAILED", "UNKNOWN_HOST", "No such name.", None)]


@pytest.fixture(autouse=True)
def rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the tests start rounds."""
    monkeypatch.setattr(health_watch, "_POLL_SECONDS", 0)


class Source:
    """A source that answers what a test says."""

    def __init__(self, project: Project, monitor: dict[str, Any]) -> None:
        self.project = project
        self.path = f"connections/health-monitors/{monitor['id']}"
        self.id = monitor["id"]
        self.before = project.api.last_sequence()

    async def check(self, monkeypatch: pytest.MonkeyPatch, outcomes: Sequence[StepOutcome]) -> dict[str, Any]:
        """Does one check that is due, and returns the monitor."""

        async def answer(*_: Any) -> list[StepOutcome]:
            return list(outcomes)

        monkeypatch.setattr(asking, "test", answer)
        self.set(next_at=clock.now() - timedelta(seconds=1))
        assert await HealthWatch(self.project.api.app.platform).look() == 1
        return dict((await self.project.api.viewer.get(self.path)).json)

    def set(self, **values: Any) -> None:
        """Changes columns of the monitor."""
        with self.project.api.database.write() as database:
            database.execute(HEALTH_MONITOR.update().where(HEALTH_MONITOR.c.id == self.id).values(values))

    def events(self) -> list[tuple[str, str, str]]:
        """What the events say: the states before and after, and the cause."""
        found = self.project.api.events(CHANGED, after=self.before)
        return [(one["data"]["before"], one["data"]["after"], one["data"]["cause"]) for one in found]


@pytest.fixture
async def source(project: Project, remote: RemotePostgreSql) -> Source:
    """A connection with a monitor that was not checked yet."""
    connection = await project.connection("shop", remote)
    body = {"connection_id": "shop", "failures": 2}
    monitor = await made(project.api.editor.post("connections/health-monitors", body))
    assert (monitor["connection_id"], monitor["state"], monitor["checked_at"]) == (connection["id"], "UNKNOWN", None)
    return Source(project, monitor)


@on_both
@pytest.mark.effect("connections_mute_health_monitor", "connections_unmute_health_monitor")
async def test_changes_are_told_once_and_not_while_muted(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await source.check(monkeypatch, FAILED))["state"] == "UNKNOWN"
    assert (await source.check(monkeypatch, PASSED))["state"] == "HEALTHY"
    once = await source.check(monkeypatch, FAILED)
    assert (once["state"], once["failed_checks"], once["reason"]) == ("HEALTHY", 1, "UNKNOWN_HOST")
    assert source.events() == [("UNKNOWN", "HEALTHY", "")]
    assert (await source.check(monkeypatch, FAILED))["state"] == "FAILING"
    await source.check(monkeypatch, FAILED)
    assert source.events()[1:] == [("HEALTHY", "FAILING", "UNKNOWN_HOST")]
    editor = source.project.api.editor
    muted = await made(editor.post(f"{source.path}:mute", {"hours": 2}))
    assert muted["muted_until"] is not None
    assert (await source.check(monkeypatch, PASSED))["state"] == "HEALTHY"
    assert len(source.events()) == 2
    assert (await made(editor.post(f"{source.path}:unmute", {})))["muted_until"] is None
    await source.check(monkeypatch, PASSED)
    assert source.events()[2:] == [("FAILING", "HEALTHY", "")]


async def test_a_mute_ends_by_itself(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(source.project.api.editor.post(f"{source.path}:mute", {}))
    await source.check(monkeypatch, PASSED)
    assert source.events() == []
    source.set(muted_until=clock.now() - timedelta(seconds=1))
    await source.check(monkeypatch, PASSED)
    assert source.events() == [("UNKNOWN", "HEALTHY", "")]


@on_both
async def test_what_was_not_checked_is_not_healthy(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    await source.check(monkeypatch, PASSED)
    viewer, editor = source.project.api.viewer, source.project.api.editor
    assert (await viewer.get("connections/health-monitors:summary")).json["states"]["HEALTHY"] == 1
    source.set(checked_at=clock.now() - timedelta(minutes=46))
    assert (await viewer.get(source.path)).json["state"] == "UNKNOWN"
    assert (await viewer.get("connections/health-monitors:summary")).json["states"] == {
        "UNKNOWN": 1,
        "HEALTHY": 0,
        "FAILING": 0,
    }
    await source.check(monkeypatch, PASSED)
    await made(editor.post("connections/connections/shop:disable", {}))
    skipped = await source.check(monkeypatch, PASSED)
    assert (skipped["state"], skipped["failed_checks"]) == ("UNKNOWN", 0)
    assert len((await viewer.get(f"{source.path}/results")).json["items"]) == 2


@on_both
@pytest.mark.effect("connections_run_health_monitor")
async def test_a_check_tests_the_real_server_and_is_stored(
    project: Project, source: Source, remote: RemotePostgreSql
) -> None:
    checked = await made(project.api.editor.post(f"{source.path}:run", {}))
    assert (checked["state"], checked["failed_checks"]) == ("HEALTHY", 0)
    secret = (await project.api.editor.get("connections/connections/shop")).json["spec"]["secrets"]["password"]
    await made(project.api.editor.post(f"connections/secrets/{secret}:put-version", {"value": "another"}))
    for _ in range(2):
        checked = await made(project.api.editor.post(f"{source.path}:run", {}))
    assert (checked["state"], checked["reason"]) == ("FAILING", "WRONG_CREDENTIAL")
    (last, *_) = results = (await project.api.viewer.get(f"{source.path}/results")).json["items"]
    assert ([one["passed"] for one in results], last["reason"]) == ([False, False, True], "WRONG_CREDENTIAL")
    assert [step["state"] for step in last["steps"]] == ["PASSED", "PASSED", "FAILED", "SKIPPED"]
    older = (await project.api.viewer.get(f"{source.path}/results", params={"before": last["id"]})).json["items"]
    assert older == results[1:]
    summary = (await project.api.viewer.get("connections/health-monitors:summary")).json
    assert [(one["id"], one["reason"]) for one in summary["failing"]] == [(source.id, "WRONG_CREDENTIAL")]
    uses = (await project.api.editor.get(f"connections/secrets/{secret}/accesses")).json["items"]
    assert {one["purpose"] for one in uses} == {"health-check"}
    assert remote.password not in str(results)


@on_both
async def test_uptime_counts_only_what_is_known(project: Project, source: Source) -> None:
    now = clock.now()
    place = {"organization_id": "org", "project_id": project.id, "monitor_id": source.id, "reason": "", "steps": []}
    minutes = {70: True, 55: True, 40: False}
    with project.api.database.write() as database:
        for ago, passed in minutes.items():
            at = now - timedelta(minutes=ago)
            database.execute(HEALTH_CHECK.insert().values(id=f"hck_{100 - ago}", at=at, passed=passed, **place))
    uptime = (await project.api.viewer.get(f"{source.path}/uptime", params={"days": 1})).json
    assert (uptime["checks"], uptime["failed_checks"]) == (3, 1)
    assert (uptime["up_seconds"], uptime["down_seconds"], uptime["uptime"]) == (1800, 1800, 0.5)
    assert uptime["unknown_seconds"] == 24 * 3600 - 3600


@on_both
async def test_assets_say_that_their_source_is_down(
    project: Project, source: Source, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = (await project.api.editor.get("connections/connections/shop")).json
    declare(project, "sales.bronze.orders", {"connection": "shop", "table": "public.orders"})
    record_read(project, "sales.gold.customers", f"connection:sales:{connection['id']}:public.customers", "email")
    orchestrator.nodes["sales.bronze.orders"] = node("sales.bronze.orders")
    orchestrator.nodes["sales.silver.orders"] = node("sales.silver.orders", ["sales.bronze.orders"])
    orchestrator.nodes["sales.gold.customers"] = node("sales.gold.customers")
    for _ in range(2):
        await source.check(monkeypatch, FAILED)
    dependent = (await project.api.admin.get(f"{source.path}/assets")).json
    assert dependent == {
        "state": "FAILING",
        "assets": ["sales.bronze.orders", "sales.gold.customers", "sales.silver.orders"],
    }
    guest = await user(project.api, "guest")
    await grant(project.api, guest, "connections.health_monitor.*", project.id)
    assert (await project.api.caller("guest").get(f"{source.path}/assets")).json["assets"] == []


@on_both
async def test_a_monitor_is_changed_and_deleted_with_its_results(
    project: Project, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = project.api.editor
    await source.check(monkeypatch, PASSED)
    async with listening(editor) as changes:
        changed = await editor("PATCH", f"/api/v1/{source.path}", json={"every_minutes": 60})
        await changes.until(source.path.rpartition("/")[2])
    assert (changed.json["every_minutes"], changed.json["failures"]) == (60, 2)
    again = await editor.post("connections/health-monitors", {"connection_id": "shop"})
    assert (again.status, "has a monitor already" in again.json["detail"]) == (409, True)
    assert (await editor("DELETE", f"/api/v1/{source.path}")).status == 204
    with project.api.database.read() as database:
        assert database.execute(sa.select(HEALTH_CHECK)).all() == []


async def test_a_monitor_needs_the_right_to_test_the_connection(project: Project, source: Source) -> None:
    api = project.api
    mallory = await user(api, "mallory")
    for permission in ("connections.health_monitor.*", "connections.connection.get"):
        await grant(api, mallory, permission, project.id)
    assert (await api.editor("DELETE", f"/api/v1/{source.path}")).status == 204
    assert (await api.caller("mallory").post("connections/health-monitors", {"connection_id": "shop"})).status == 403
    outsider = await user(api, "outsider")
    other = (await made(api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    await grant(api, outsider, "rol_admin", other)
    assert (await api.caller("outsider").post("connections/health-monitors", {"connection_id": "shop"})).status == 404
