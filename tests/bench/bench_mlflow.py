"""MLflow's API against `mlflow server`: logging a batch of metrics, and searching runs. Both on SQLite, over HTTP.

    python tests/bench/bench_mlflow.py

The requests are the same, byte for byte, from one client that keeps its connection. Ours checks permissions and writes
an audit record for each batch. `make setup-clients` installs the peer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
MLFLOW = ROOT / ".venv-clients" / "bin" / "mlflow"
RUNS, METRICS = 500, 100


def run() -> list[dict[str, Any]]:
    """The rows of the report."""
    sys.path.insert(0, str(ROOT))
    from tests.api_server import Server

    if not MLFLOW.exists():
        print("run `make setup-clients`", file=sys.stderr)
        return []
    with (
        tempfile.TemporaryDirectory(prefix="hw-bench-") as folder,
        Server(Path(folder), HEADWATER_RATE_LIMIT="") as server,
        _mlflow(Path(folder, "peer")) as peer,
    ):
        admin = {"authorization": f"Bearer {server.tokens['admin']}"}
        body = {"name": "bench", "spec": {"title": "Bench"}}
        httpx.post(f"{server.url}/api/v1/admin/projects", headers=admin, json=body).raise_for_status()
        with (
            httpx.Client(base_url=f"{server.url}/mlflow", headers=admin, timeout=60) as own,
            httpx.Client(base_url=peer, timeout=60) as other,
        ):
            clients = own, other
            runs = [_fill(client) for client in clients]
            logs = [_logging(client, ids[0]) for client, ids in zip(clients, runs, strict=True)]
            searches = [_searching(client) for client in clients]
            return [
                _row(f"log_batch of {METRICS} metrics", _interleaved(logs), ">= 10"),
                _row(f"search of 100 of {RUNS} runs by a metric and a parameter", _interleaved(searches), ">= 10"),
            ]


@contextmanager
def _mlflow(folder: Path) -> Iterator[str]:
    from tests.ports import free_ports

    folder.mkdir()
    port = free_ports(1)
    store = [f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/artifacts"]
    command = [str(MLFLOW), "server", "--host=127.0.0.1", f"--port={port}", "--workers=1", *store]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ}, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, folder / "log")
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _wait(url: str, log: Path) -> None:
    for _ in range(240):
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise RuntimeError(log.read_text()[-2000:])


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    reply = client.post(f"/api/2.0/mlflow/{path}", json=body)
    reply.raise_for_status()
    return reply.json()


def _fill(client: httpx.Client) -> list[str]:
    """Creates an experiment with runs that have a metric and parameters each. Returns the ids of the runs."""
    experiment = _post(client, "experiments/create", {"name": "bench"})["experiment_id"]
    ids = []
    for number in range(RUNS):
        made = _post(client, "runs/create", {"experiment_id": experiment, "start_time": number})
        ids.append(made["run"]["info"]["run_id"])
        metrics = [{"key": "loss", "value": number / RUNS, "timestamp": number, "step": 0}]
        params = [{"key": key, "value": str(number % 5)} for key in ("depth", "rate", "seed")]
        _post(client, "runs/log-batch", {"run_id": ids[-1], "metrics": metrics, "params": params})
    client.headers["x-bench-experiment"] = experiment
    return ids


def _logging(client: httpx.Client, id: str) -> Callable[[], None]:
    steps = iter(range(1, 1_000_000))

    def log() -> None:
        step = next(steps)
        metrics = [{"key": f"m{n}", "value": n * 0.5, "timestamp": step, "step": step} for n in range(METRICS)]
        _post(client, "runs/log-batch", {"run_id": id, "metrics": metrics})

    return log


def _searching(client: httpx.Client) -> Callable[[], None]:
    body = {
        "experiment_ids": [client.headers["x-bench-experiment"]],
        "filter": "metrics.loss < 0.99 and params.depth = '3'",
        "order_by": ["metrics.loss DESC"],
        "max_results": 100,
    }

    def search() -> None:
        found = _post(client, "runs/search", body)["runs"]
        assert 95 <= len(found) <= 100, len(found)

    return search


def _interleaved(calls: list[Callable[[], None]], times: int = 30) -> tuple[float, float]:
    taken: list[list[float]] = [[], []]
    for round_ in range(times + 3):
        for number, call in enumerate(calls):
            began = time.perf_counter()
            call()
            if round_ >= 3:
                taken[number].append((time.perf_counter() - began) * 1e3)
    return median(taken[0]), median(taken[1])


def _row(name: str, figures: tuple[float, float], goal: str) -> dict[str, Any]:
    own, peer = figures
    return {
        "name": name,
        "peer": "mlflow server 3.17, SQLite",
        "ours_ms": round(own, 2),
        "peer_ms": round(peer, 2),
        "ratio": round(peer / own, 1),
        "goal": goal,
        "note": "with permissions and audit against none; our server runs in a thread of the client",
    }


if __name__ == "__main__":
    for line in run():
        print(line)
