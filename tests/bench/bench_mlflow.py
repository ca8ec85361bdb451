"""MLflow's API against `mlflow server`: logging a batch of metrics, searching runs, and sampling a long history.

    python tests/bench/bench_mlflow.py

On SQLite and on PostgreSQL. Each server is a process with one worker. The requests are the same, byte for byte, from
one client that keeps its connection and does nothing else. Ours checks permissions and writes an audit record for each
batch. `make setup-clients` installs the peer.
"""

from __future__ import annotations

import http.client
import json
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
RUNS, METRICS, VALUES, SAMPLE = 500, 100, 1_000_000, 2_500
IDLE_SECONDS = 3.0
"""Time after which a connection is opened again, because servers close those that are idle."""

_LIMITS = {"SQLite": "; the commit to the disk takes a third of ours, and the peer commits once, too", "PostgreSQL": ""}
GOALS = {"SQLite": ">= 10", "PostgreSQL": ">= 5"}


def run() -> list[dict[str, Any]]:
    """The rows of the report."""
    sys.path.insert(0, str(ROOT))
    import pgserver

    if not MLFLOW.exists():
        print("run `make setup-clients`", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="hw-bench-") as folder:
        rows = _compared(Path(folder, "sqlite"), "SQLite", "", "")
        server = pgserver.get_server(Path(folder, "postgresql"))
        try:
            urls = []
            for name in ("own", "peer"):
                server.psql(f"CREATE DATABASE {name};")
                urls.append(server.get_uri(name).replace("postgresql://", "postgresql+psycopg://", 1))
            return rows + _compared(Path(folder, "on-postgresql"), "PostgreSQL", *urls)
        finally:
            server.cleanup()


def _compared(folder: Path, database: str, own_url: str, peer_url: str) -> list[dict[str, Any]]:
    folder.mkdir()
    with _own(folder / "own", own_url) as own, _mlflow(folder / "peer", peer_url) as peer:
        own.post("/api/v1/admin/projects", {"name": "bench", "spec": {"title": "Bench"}})
        own.prefix = "/mlflow"
        clients = own, peer
        runs = [_fill(client) for client in clients]
        logs = [_logging(client, ids[0]) for client, ids in zip(clients, runs, strict=True)]
        searches = [_searching(client) for client in clients]
        rows = [
            _row(f"log_batch of {METRICS} metrics", database, _interleaved(logs), limit=_LIMITS[database]),
            _row(f"search of 100 of {RUNS} runs by a metric and a parameter", database, _interleaved(searches)),
        ]
        if database == "SQLite":
            _log_many(own, runs[0][1])
            rows.append(_history_row(own, runs[0][1]))
        return rows


class _Client:
    """A connection that is kept, with the least that a request needs."""

    def __init__(self, url: str, token: str = "") -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._used_at = 0.0
        self.prefix = ""
        self.experiment = ""

    def post(self, path: str, body: Any) -> Any:
        return json.loads(self.send("POST", path, json.dumps(body).encode()))

    def send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            self._connection.close()
        self._connection.request(method, self.prefix + path, body, self._headers)
        response = self._connection.getresponse()
        content = response.read()
        self._used_at = time.monotonic()
        if response.status >= 300:
            raise RuntimeError(f"{path}: {response.status} {content[:500]!r}")
        return content


@contextmanager
def _own(folder: Path, database_url: str) -> Iterator[_Client]:
    folder.mkdir()
    command = [sys.executable, "-m", "tests.bench.served", str(folder), database_url]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        served = json.loads(process.stdout.readline())
        yield _Client(served["url"], served["token"])
    finally:
        process.stdin.close()
        process.wait()


@contextmanager
def _mlflow(folder: Path, database_url: str) -> Iterator[_Client]:
    from tests.ports import free_ports

    folder.mkdir()
    port = free_ports(1)
    store = database_url or f"sqlite:///{folder}/mlflow.db"
    stores = [f"--backend-store-uri={store}", f"--artifacts-destination={folder}/artifacts"]
    command = [str(MLFLOW), "server", "--host=127.0.0.1", f"--port={port}", "--workers=1", *stores]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ}, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, folder / "log")
        yield _Client(url)
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


def _post(client: _Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(f"/api/2.0/mlflow/{path}", body)


def _fill(client: _Client) -> list[str]:
    """Creates an experiment with runs that have a metric and parameters each. Returns the ids of the runs."""
    client.experiment = _post(client, "experiments/create", {"name": "bench"})["experiment_id"]
    ids = []
    for number in range(RUNS):
        made = _post(client, "runs/create", {"experiment_id": client.experiment, "start_time": number})
        ids.append(made["run"]["info"]["run_id"])
        metrics = [{"key": "loss", "value": number / RUNS, "timestamp": number, "step": 0}]
        params = [{"key": key, "value": str(number % 5)} for key in ("depth", "rate", "seed")]
        _post(client, "runs/log-batch", {"run_id": ids[-1], "metrics": metrics, "params": params})
    return ids


def _logging(client: _Client, id: str) -> Callable[[], None]:
    steps = iter(range(1, 1_000_000))

    def body() -> bytes:
        step = next(steps)
        metrics = [{"key": f"m{n}", "value": n * 0.5, "timestamp": step, "step": step} for n in range(METRICS)]
        return json.dumps({"run_id": id, "metrics": metrics}).encode()

    bodies = iter([body() for _ in range(100)])
    return lambda: client.send("POST", "/api/2.0/mlflow/runs/log-batch", next(bodies)) and None


def _searching(client: _Client) -> Callable[[], None]:
    body = {
        "experiment_ids": [client.experiment],
        "filter": "metrics.loss < 0.99 and params.depth = '3'",
        "order_by": ["metrics.loss DESC"],
        "max_results": 100,
    }
    content = json.dumps(body).encode()
    assert 95 <= len(_post(client, "runs/search", body)["runs"]) <= 100
    return lambda: client.send("POST", "/api/2.0/mlflow/runs/search", content) and None


def _log_many(client: _Client, id: str) -> None:
    """Logs the values of a long history, and waits until they have moved to the lakehouse."""
    for start in range(0, VALUES, 10_000):
        metrics = [
            {"key": "loss", "value": 1 / (step + 1), "at_ms": step, "step": step}
            for step in range(start, start + 10_000)
        ]
        client.prefix = ""
        client.post(f"/api/v1/ai-catalog/runs/{id}:log-batch", {"metrics": metrics})
    while float(_gauge(client, "headwater_metric_values_waiting")) >= 10_000:
        time.sleep(1)
    client.prefix = "/mlflow"


def _gauge(client: _Client, name: str) -> str:
    lines = client.send("GET", "/metrics").decode().splitlines()
    return next(line.split()[-1] for line in lines if line.startswith(f"{name} "))


def _history_row(client: _Client, id: str) -> dict[str, Any]:
    query = f"run_ids={id}&metric_key=loss&max_results={SAMPLE}"
    path = f"/api/2.0/mlflow/metrics/get-history-bulk-interval?{query}"
    found = json.loads(client.send("GET", path))["metrics"]
    assert found[-1]["step"] == VALUES - 1
    own = _times(lambda: client.send("GET", path))
    return {
        "name": f"sample of {SAMPLE:,} of {VALUES:,} logged values of a metric",
        "peer": "none; the values are in a Delta table",
        "ours_ms": round(own, 2),
        "peer_ms": None,
        "ratio": round(own, 2),
        "goal": "< 50",
        "note": "the ratio is the time in ms",
    }


def _times(call: Callable[[], Any], times: int = 30) -> float:
    taken = []
    for _ in range(times + 3):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    return median(taken[3:])


def _interleaved(calls: list[Callable[[], None]], times: int = 60) -> tuple[float, float]:
    taken: list[list[float]] = [[], []]
    for round_ in range(times + 3):
        for number, call in enumerate(calls):
            began = time.perf_counter()
            call()
            if round_ >= 3:
                taken[number].append((time.perf_counter() - began) * 1e3)
    return median(taken[0]), median(taken[1])


def _row(name: str, database: str, figures: tuple[float, float], limit: str = "") -> dict[str, Any]:
    own, peer = figures
    return {
        "name": name,
        "peer": f"mlflow server 3.17, {database}",
        "ours_ms": round(own, 2),
        "peer_ms": round(peer, 2),
        "ratio": round(peer / own, 1),
        "goal": GOALS[database],
        "note": f"one worker each; with permissions and audit against none{limit}",
    }


if __name__ == "__main__":
    for line in run():
        print(line)
