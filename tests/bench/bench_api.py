"""The REST API against bare FastAPI: CPU and latency of a read at 50 clients, and the start.

    python tests/bench/bench_api.py [--requests 4000] [--rounds 5]

Both sides answer the same bytes from memory on the same server (uvicorn, uvloop, httptools) in a process of their own.
Ours includes what a user gets: authentication, permission, ETag, request id and security headers; resources are read
from the database at every request (bare FastAPI answers all from memory). CPU is the server's own, per request; the
copy of the audit trail, which a process makes each minute, is left out. Latency is that of 50 connections that each
wait for an answer before they ask again, so all of them queue for one core. Rounds alternate between the two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
CLIENTS = 50
ASSET = "flights.gold.route_delays"

HEADWATER_PROGRAM = """
import sys
from api.main import create_app, serve
from core.settings import load_settings
from tests.orchestration import FakeOrchestrator
class Constant(FakeOrchestrator):
    def view(self):
        return VIEW
VIEW = FakeOrchestrator().view()
settings = load_settings()
serve(create_app(settings, orchestrator=Constant()), settings)
"""
BARE = """
import json, os
import uvicorn
from fastapi import FastAPI
app = FastAPI()
content = json.loads(os.environ["CONTENT"])
@app.get("/api/v1/ai-catalog/assets/{asset}")
async def get_asset(asset: str):
    return content["one asset"]
@app.get("/api/v1/ai-catalog/assets")
async def list_assets():
    return content["assets"]
@app.get("/api/v1/admin/projects/{project}")
async def get_project(project: str):
    return content[f"one resource by {'id' if '_' in project else 'name'}"]
@app.get("/api/v1/admin/projects")
async def list_projects():
    return content["resources"]
@app.get("/health/live")
async def live():
    return {"status": "live"}
port = int(os.environ["PORT"])
uvicorn.run(app, port=port, loop="uvloop", http="httptools", ws="none", log_level="warning", access_log=False)
"""
EMPTY = """
import os, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/health/live")
async def live():
    return {"status": "live"}
uvicorn.run(app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", ws="none", log_level="warning")
"""


class Server:
    """A server process and what it has used."""

    def __init__(self, port: int, command: list[str], **environment: str) -> None:
        self.port = port
        # Bytecode is written as on any installation; without it an import costs three times as much.
        variables = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        self.started = time.perf_counter()
        variables |= environment | {"PYTHONPATH": str(ROOT), "HEADWATER_LOG_LEVEL": "warning"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=variables)
        self.usage = psutil.Process(self.process.pid)

    def wait(self) -> float:
        """Seconds until it answered."""
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live", timeout=1).close()
                return time.perf_counter() - self.started
            except OSError:
                assert self.process.poll() is None
                time.sleep(0.01)

    def cpu(self) -> float:
        used = self.usage.cpu_times()
        return used.user + used.system

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


class Connection(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again; notes how long each took."""

    def __init__(self, request: bytes, count: int, done: Callable[[], None]) -> None:
        self.request, self.left, self.done = request, count, done
        self.seconds: list[float] = []
        self.buffer = b""
        self.size = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.buffer, self.size = b"", 0
        self.asked = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.size:
            head, separator, _ = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            assert head.startswith(b"HTTP/1.1 200"), head
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            self.size = len(head) + 4 + int(length.split(b":")[1])
        if len(self.buffer) >= self.size:
            self.seconds.append(time.perf_counter() - self.asked)
            self.left -= 1
            if self.left:
                self.ask()
            else:
                self.transport.close()
                self.done()


async def load(port: int, path: str, token: str, requests: int) -> list[float]:
    """Seconds of each of so many requests, over `CLIENTS` connections."""
    loop = asyncio.get_running_loop()
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    left = CLIENTS
    finished = loop.create_future()

    def done() -> None:
        nonlocal left
        left -= 1
        if not left:
            finished.set_result(None)

    connections = [Connection(request, requests // CLIENTS, done) for _ in range(CLIENTS)]
    for connection in connections:
        await loop.create_connection(lambda connection=connection: connection, "127.0.0.1", port)
    await finished
    return [seconds for connection in connections for seconds in connection.seconds]


def measure(server: Server, path: str, token: str, requests: int) -> tuple[float, float, float]:
    """CPU milliseconds per request, and the median and 99th percentile of latency in milliseconds."""
    before = server.cpu()
    seconds = sorted(asyncio.run(load(server.port, path, token, requests)))
    cpu = server.cpu() - before
    return cpu / len(seconds) * 1000, seconds[len(seconds) // 2] * 1000, seconds[int(len(seconds) * 0.99)] * 1000


def run(requests: int = 4000, rounds: int = 5) -> list[dict[str, Any]]:
    """The rows of the report."""
    with tempfile.TemporaryDirectory() as folder:
        token = _prepare(Path(folder))
        rows = _reads(Path(folder), token, requests, rounds)
        return rows + _start(Path(folder), rounds)


def _reads(home: Path, token: str, requests: int, rounds: int) -> list[dict[str, Any]]:
    port = _free_port()
    variables = {"HEADWATER_HOME": str(home), "HEADWATER_PORT": str(port), "HEADWATER_AUDIT_MIRROR_SECONDS": "0"}
    headwater = Server(port, [sys.executable, "-c", HEADWATER_PROGRAM], **variables)
    headwater.wait()
    paths = {
        "one asset": f"/api/v1/ai-catalog/assets/{ASSET}",
        "assets": "/api/v1/ai-catalog/assets",
        "resources": "/api/v1/admin/projects",
    }
    newest = json.loads(_fetch(port, paths["resources"], token))["items"][0]
    paths |= {
        "one resource by id": f"/api/v1/admin/projects/{newest['id']}",
        "one resource by name": f"/api/v1/admin/projects/{newest['name']}",
    }
    content = {name: json.loads(_fetch(port, path, token)) for name, path in paths.items()}
    port = _free_port()
    bare = Server(port, [sys.executable, "-c", BARE], PORT=str(port), CONTENT=json.dumps(content))
    bare.wait()
    rows = []
    for name, path in paths.items():
        for server in (headwater, bare):
            measure(server, path, token, 500)
        samples = [
            (measure(headwater, path, token, requests), measure(bare, path, token, requests)) for _ in range(rounds)
        ]
        request_label = (
            f"GET {name}" if "items" not in content[name] else f"list of {len(content[name]['items'])} {name}"
        )
        for index, measured, goal in ((0, "server CPU", "≤ 1.4"), (2, "p99 at 50 clients", "< 20 ms")):
            headwater_times, peers = ([pair[side][index] for pair in samples] for side in (0, 1))
            ratio = median(a / b for a, b in zip(headwater_times, peers, strict=True))
            note = ""
            if index == 2:
                medians = median(pair[0][1] for pair in samples), median(pair[1][1] for pair in samples)
                note = f"p50 {medians[0]:.1f} ms, bare {medians[1]:.1f} ms; both queue for one core"
            rows.append(_row(f"{request_label}: {measured}", median(headwater_times), median(peers), ratio, goal, note))
    headwater.stop()
    bare.stop()
    return rows


def _start(home: Path, rounds: int) -> list[dict[str, Any]]:
    found: dict[str, list[tuple[float, float, float]]] = {"ours": [], "bare": []}
    for _ in range(rounds):
        for name, command in (("ours", ["-m", "api.main"]), ("bare", ["-c", EMPTY])):
            port = _free_port()
            variables = {"HEADWATER_HOME": str(home), "HEADWATER_PORT": str(port), "PORT": str(port)}
            server = Server(port, [sys.executable, *command], **variables)
            seconds = server.wait()
            found[name].append((seconds, server.cpu(), server.usage.memory_info().rss / 1e6))
            server.stop()
    seconds, cpu, rss = ([median(sample[i] for sample in found[name]) for name in ("ours", "bare")] for i in range(3))
    note = f"{cpu[0]:.2f} s of CPU, bare {cpu[1]:.2f} s"
    return [
        _row("start until it answers", seconds[0] * 1000, seconds[1] * 1000, seconds[0] / seconds[1], "≤ 1.5 s", note),
        _row("memory when it answers", rss[0], rss[1], rss[0] / rss[1], "≤ 150 MB", "", unit="MB"),
    ]


def _row(
    name: str, headwater: float, peer: float, ratio: float, goal: str, note: str, unit: str = "ms"
) -> dict[str, Any]:
    figures = {"ours_ms": round(headwater, 3), "peer_ms": round(peer, 3), "ratio": round(ratio, 2)}
    return {"name": name, "peer": "bare FastAPI", **figures, "goal": goal, "note": note, "unit": unit}


def _prepare(home: Path) -> str:
    """A migrated database with a viewer; returns a token."""
    from core import clock
    from core.db import Database
    from core.settings import load_settings
    from tests.api_process import prepare

    settings = load_settings({"HEADWATER_HOME": str(home)})
    prepare(settings)
    from api.kernel.credentials.tokens import issue_token
    from tests.resources import fill_projects

    database = Database(settings.effective_database_url)
    fill_projects(database, 1000)
    token = issue_token(database, "viewer", label="bench", expires=clock.now() + timedelta(hours=2))
    database.close()
    return token


def _fetch(port: int, path: str, token: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for row in run(arguments.requests, arguments.rounds):
        print(
            f"{row['name']:36} {row['ours_ms']:9} {row['peer_ms']:9}  x{row['ratio']:<6} {row['goal']:9} {row['note']}"
        )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
