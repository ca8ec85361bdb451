"""A trivial materialization, from the request to the version that a reader sees: ours against Dagster's own ways.

Three instances run side by side over the same project: ours (prompt coordinator, warm launcher), Dagster as it comes
(queue, a new process per run), and Dagster without a queue (`DefaultRunCoordinator`). The asset appends one row to a
Delta table. Each round asks every instance once, over GraphQL; ours is also asked over REST, with authentication and
the operation it answers with. The clock stops when the asset's latest materialization is the one of this run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from api.kernel.credentials import tokens
from core import clock
from core.db import Database
from tests.api_process import prepare
from tests.dagster_processes import ROOT, DagsterProcesses, until

ROUNDS = 12
ASSET = ["tiny", "bronze", "one"]
PROJECT = """
from pathlib import Path
import dagster as dg
import pyarrow as pa
from deltalake import write_deltalake

@dg.asset(key=["tiny", "bronze", "one"])
def one(context: dg.AssetExecutionContext):
    write_deltalake(str(Path(__file__).parent / "table"), pa.table({"run": [context.run_id]}), mode="append")

defs = dg.Definitions(assets=[one], executor=dg.in_process_executor)
"""
API = """
from api.main import create_app, server
from core.settings import load_settings
settings = load_settings()
server(create_app(settings), settings).run()
"""
LATEST = "query($k:[AssetKeyInput!]!){assetsLatestInfo(assetKeys:$k){latestMaterialization{runId}}}"
BARE = {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
IMMEDIATE = {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}
WITHOUT_QUEUE = {**BARE, "run_coordinator": IMMEDIATE}
POLL_SECONDS = 0.005


def run() -> list[dict[str, Any]]:
    """Measures in turn, `ROUNDS` times; the medians are compared."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)

        def instance(name: str, config: dict[str, Any] | None) -> DagsterProcesses:
            code = folder / name / "code"
            code.mkdir(parents=True)
            (code / "tinyproject.py").write_text(PROJECT)
            modules = {"flights": "tinyproject"}
            return stack.enter_context(DagsterProcesses(folder / name / "home", modules, code=code, instance=config))

        headwater = instance("ours", None)
        default, unqueued = instance("default", BARE), instance("unqueued", WITHOUT_QUEUE)
        client = _api(headwater)
        stack.callback(client.close)
        ways: dict[str, Callable[[], float]] = {
            "GraphQL": lambda: _graphql(headwater),
            "REST": lambda: _rest(headwater, client),
            "default": lambda: _graphql(default),
            "unqueued": lambda: _graphql(unqueued),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(ROUNDS + 1):
            for way, measure in ways.items():
                seconds = measure()
                if number:  # the first round warms up
                    times[way].append(seconds * 1000)
        cold = "starts with Dagster's default launcher"
        assert not any(cold in headwater.log(name) for name in ("webserver", "daemon", "zygote")), "a run started cold"
    return [
        _row(f"materialize over {way}", peer, times[way], times[key], goal)
        for way in ("REST", "GraphQL")
        for key, peer, goal in (
            ("default", "Dagster's launcher and queue", ">= 15"),
            ("unqueued", "Dagster's launcher, no queue", ">= 4"),
        )
    ]


def _graphql(platform: DagsterProcesses) -> float:
    began = time.perf_counter()
    run_id = platform.launch(ASSET)
    return _seen(platform, run_id) - began


def _rest(platform: DagsterProcesses, client: httpx.Client) -> float:
    began = time.perf_counter()
    answer = client.post(f"ai-catalog/assets/{'.'.join(ASSET)}:materialize", json={})
    assert answer.status_code == 202, answer.text
    operation = answer.json()
    while not operation["runs"]:
        operation = client.get(f"operations/{operation['id']}").json()
    return _seen(platform, operation["runs"][0]) - began


def _seen(platform: DagsterProcesses, run_id: str) -> float:
    while True:
        (info,) = platform.graphql(LATEST, k=[{"path": ASSET}])["assetsLatestInfo"] or [{}]
        if (info.get("latestMaterialization") or {}).get("runId") == run_id:
            return time.perf_counter()
        time.sleep(POLL_SECONDS)


def _api(platform: DagsterProcesses) -> httpx.Client:
    """The REST API in front of an instance, and a client of its admin. The server ends with the client's process."""
    prepare(platform.settings)
    database = Database(platform.settings.effective_database_url)
    token = tokens.issue_token(database, "admin", label="bench", expires=clock.now() + timedelta(hours=1))
    database.close()
    platform.processes["api"] = subprocess.Popen(
        [sys.executable, "-c", API], cwd=ROOT, env=platform.environment, start_new_session=True
    )
    url = f"http://127.0.0.1:{platform.settings.port}"
    client = httpx.Client(base_url=f"{url}/api/v1/", headers={"authorization": f"Bearer {token}"}, timeout=60)

    def knows_the_asset() -> bool:
        try:
            return client.get(f"ai-catalog/assets/{'.'.join(ASSET)}").status_code == 200
        except httpx.TransportError:
            return False

    until(knows_the_asset, 60, "the API")
    return client


def _row(name: str, peer: str, headwater: list[float], peers: list[float], goal: str) -> dict[str, Any]:
    return {
        "name": name,
        "peer": peer,
        "ours_ms": median(headwater),
        "peer_ms": median(peers),
        "ratio": round(median(peers) / median(headwater), 1),
        "goal": f"{goal} times faster",
        "note": f"ours {min(headwater):.0f} to {max(headwater):.0f} ms, theirs {min(peers):.0f} to {max(peers):.0f} ms",
    }


if __name__ == "__main__":
    for row in run():
        print(row)
