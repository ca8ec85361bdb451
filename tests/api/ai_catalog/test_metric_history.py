"""Logged values of metrics move to the lakehouse: each is seen once, before, while, and after it moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest

from api.services.admin.logic import erasing
from api.services.ai_catalog.logic import metric_mover
from api.services.ai_catalog.logic.metric_history import open_metric_history
from api.services.ai_catalog.logic.metric_mover import MANY, MetricMover, waiting_values
from lakehouse import metric_history
from tests.api.admin.tenants import tenant
from tests.api.admin.test_projects import ended
from tests.api.ai_catalog.test_runs import logged, run
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller

MLFLOW = "/mlflow/api/2.0/mlflow/metrics"


def metrics(steps: range, key: str = "loss") -> list[dict[str, Any]]:
    return [{"key": key, "value": step / 7, "step": step, "at_ms": step} for step in steps]


def moved(api: Api) -> int:
    return MetricMover(api.app.platform).move()


def waiting(api: Api) -> int:
    with api.database.read() as connection:
        return waiting_values(connection)


def stored(api: Api, project: str) -> pl.DataFrame:
    """All rows of the project's table in the lakehouse."""
    tables = open_metric_history(api.app.platform)._tables
    return tables.snapshot(f"{project}.runs.metrics").scan().collect()


async def history(caller: Caller, id: str, key: str = "loss", size: int = 1000) -> list[tuple[int, int, Any]]:
    seen: list[tuple[int, int, Any]] = []
    token = ""
    while True:
        query = {"run_id": id, "metric_key": key, "max_results": size, "page_token": token}
        page = (await caller.http.get(f"{MLFLOW}/get-history", params=query)).json()
        seen += [(point["step"], point["timestamp"], point["value"]) for point in page["metrics"]]
        if not (token := page.get("next_page_token", "")):
            return seen


async def sampled(caller: Caller, id: str, size: int, **range: int) -> list[int]:
    query = {"run_ids": id, "metric_key": "loss", "max_results": size, **range}
    reply = await caller.http.get(f"{MLFLOW}/get-history-bulk-interval", params=query)
    assert reply.status_code == 200, reply.text
    return [point["step"] for point in reply.json()["metrics"]]


@on_both
async def test_a_history_is_the_same_before_and_after_it_moves(api: Api) -> None:
    id = (await run(api))["id"]
    values = [0.1 + 0.2, "NaN", "Infinity", "-Infinity", -0.0, 5e-324]
    steps = [-(2**63), -1, 0, 0, 7, 2**63 - 1]
    batch = [
        {"key": "loss", "value": value, "step": step, "at_ms": n}
        for n, (value, step) in enumerate(zip(values, steps, strict=True))
    ]
    await logged(api, id, metrics=[*batch, *metrics(range(9), "auc")])
    before = [await history(api.viewer, id, size=size) for size in (1000, 2)]
    samples = [await sampled(api.viewer, id, 3), await sampled(api.viewer, id, 2, start_step=0, end_step=7)]
    assert (moved(api), waiting(api)) == (15, 0)
    assert [await history(api.viewer, id, size=size) for size in (1000, 2)] == before
    assert [await sampled(api.viewer, id, 3), await sampled(api.viewer, id, 2, start_step=0, end_step=7)] == samples
    assert str(before[0][4][2]) == "-0.0"
    rest = await api.viewer.get(f"ai-catalog/runs/{id}/metric-history", params={"key": "auc", "page_size": 4})
    assert [point["step"] for point in rest.json["points"]] == [0, 1, 2, 3]
    seen = (await api.viewer.get(f"ai-catalog/runs/{id}")).json["metrics"]
    assert (seen["auc"]["step"], seen["loss"]["value"]) == (8, 5e-324), "the latest values stay"


@pytest.mark.effect("ai_catalog_get_run_metric_sample")
async def test_a_sample_has_the_first_and_the_last_value_before_and_after_they_move(api: Api) -> None:
    id = (await run(api))["id"]
    await logged(api, id, metrics=metrics(range(900)))

    async def steps(points: int) -> list[int]:
        query = {"key": "loss", "points": points}
        reply = await api.viewer.get(f"ai-catalog/runs/{id}/metric-sample", params=query)
        return [point["step"] for point in reply.json["points"]]

    before = [await steps(9), await steps(2500)]
    assert (len(before[0]), before[0][0], before[0][-1]) == (9, 0, 899)
    assert before[1] == list(range(900))
    moved(api)
    assert [await steps(9), await steps(2500)] == before
    unnamed = await api.viewer.get(f"ai-catalog/runs/{id}/metric-sample")
    assert (unnamed.status, unnamed.json["reason"]) == (400, "INVALID_ARGUMENT")


async def test_a_value_that_is_logged_again_after_it_moved_is_there_once(api: Api) -> None:
    made = await run(api)
    id = made["id"]
    await logged(api, id, metrics=metrics(range(10)))
    moved(api)
    await logged(api, id, metrics=metrics(range(5, 15)))
    expected = [(step, step, step / 7) for step in range(15)]
    assert await history(api.viewer, id) == expected
    assert await history(api.viewer, id, size=4) == expected
    assert await sampled(api.viewer, id, 2500) == list(range(15))
    moved(api)
    assert await history(api.viewer, id) == expected
    assert stored(api, made["project_id"]).height == 15


async def test_a_move_that_stops_anywhere_neither_hides_nor_doubles_a_value(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await run(api)
    id, expected = made["id"], [(step, step, step / 7) for step in range(30)]
    await logged(api, id, metrics=metrics(range(30)))
    monkeypatch.setattr(metric_mover, "_REMOVED_AT_ONCE", 10)
    mover, history_of_all = MetricMover(api.app.platform), open_metric_history(api.app.platform)
    api.app.platform.provide(open_metric_history, history_of_all)

    class Stopped(Exception):
        pass

    def stop(*_: Any, **__: Any) -> None:
        raise Stopped

    remove, left = metric_mover._remove, 1

    def remove_one(*arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped
        remove(*arguments)

    for target, name, replacement, waits in (
        (history_of_all, "add", stop, 30),
        (metric_mover, "_remove", stop, 30),
        (metric_mover, "_remove", remove_one, 20),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, replacement)
            with pytest.raises(Stopped):
                mover.move()
        assert waiting(api) == waits, name
        assert await history(api.viewer, id) == expected, name
        assert await sampled(api.viewer, id, 100) == list(range(30)), name
    assert mover.move() == 20
    assert (await history(api.viewer, id), stored(api, made["project_id"]).height) == (expected, 30)


@on_both
async def test_processes_that_move_the_same_values_at_the_same_time_add_each_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await run(api)
    monkeypatch.setattr(metric_mover, "_BATCH", 40)
    await logged(api, made["id"], metrics=metrics(range(200)))
    movers = [MetricMover(api.app.platform) for _ in range(3)]
    for mover in movers:  # each with separate table handles, as in separate processes
        api.app.platform._parts.pop(open_metric_history, None)
        history_of_one = api.app.platform.part(open_metric_history)
        monkeypatch.setattr(mover, "_platform", _With(api.app.platform, history_of_one))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda mover: mover.move(), movers))
    moved(api)
    assert waiting(api) == 0
    assert sorted(stored(api, made["project_id"])["step"]) == list(range(200))


class _With:
    """A platform with its own history."""

    def __init__(self, platform: Any, history: Any) -> None:
        self._platform, self._history = platform, history

    def __getattr__(self, name: str) -> Any:
        return getattr(self._platform, name)

    def part(self, factory: Any) -> Any:
        return self._history if factory is open_metric_history else self._platform.part(factory)


async def test_parts_are_sorted_and_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_history, "_PART_FILES", 3)
    monkeypatch.setattr(metric_history, "_PART_ROWS", 20)
    made = await run(api)
    ids = [made["id"], (await run(api, experiment_id=made["experiment_id"]))["id"]]
    for start in range(0, 40, 4):
        for id in ids:
            await logged(api, id, metrics=metrics(range(start, start + 4)))
        moved(api)
    for id in ids:
        assert [step for step, _, _ in await history(api.viewer, id)] == list(range(40))
    tables = open_metric_history(api.app.platform)._tables
    snapshot = tables.snapshot(f"{made['project_id']}.runs.metrics")
    assert sorted((values["part"], rows) for values, rows in snapshot.files()) == [(0, 24), (1, 24), (2, 24), (3, 8)]
    (first,) = [path for path in map(unquote, snapshot.paths) if path.startswith("part=0/")]
    rows = pl.read_parquet(Path(snapshot.uri, first)).select("run_id", "step").rows()
    assert rows == sorted(rows), "one file, sorted by run and step"


async def test_few_values_wait_and_many_move_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await run(api)
    await logged(api, made["id"], metrics=metrics(range(10)))
    mover = MetricMover(api.app.platform)
    await mover._poll()
    assert waiting(api) == 10, "no file for ten values"
    text = (await api.admin.http.get("/metrics")).text
    assert "headwater_metric_values_waiting 10.0" in text
    await logged(api, made["id"], metrics=metrics(range(MANY)))
    await mover._poll()
    assert waiting(api) == 0
    await logged(api, made["id"], metrics=metrics(range(10), "auc"))
    monkeypatch.setattr(mover, "_due_at", 0.0)
    await mover._poll()
    assert waiting(api) == 0, "the time is over"


@on_both
async def test_a_history_follows_its_project_and_is_erased_with_its_organization(api: Api, tmp_path: Path) -> None:
    made = await run(api)
    id, project = made["id"], made["project_id"]
    await logged(api, id, metrics=metrics(range(3)))
    moved(api)
    other = await tenant(api, "other")
    assert (await other.admin.http.get(f"{MLFLOW}/get-history", params={"run_id": id, "metric_key": "loss"})).is_error
    reply = await api.admin.post("admin/projects/flights:move", {"organization_id": other.organization})
    await ended(api, reply.json["id"])
    assert len(await history(other.admin, id)) == 3
    folder = tmp_path / "lakehouse" / "_metrics" / project
    assert folder.is_dir()
    with api.database.write() as connection:
        erasing.erase_organization(connection, other.organization)
    for _ in range(2):
        moved(api)
        assert not folder.exists()
    tables = open_metric_history(api.app.platform)._tables
    assert tables.list() == []
