"""The lifecycle of the Spark server: one per platform, started on first use, stopped when idle, with clear errors."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.errors import InvalidArgument, Unavailable
from core.settings import Settings, load_settings
from resources.spark.server import Server, endpoint, stop
from tests.ports import free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("HEADWATER_PORT", str(free_ports(5)))
    yield load_settings()
    stop(load_settings())


def until(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_concurrent_processes_share_one_server(settings: Settings) -> None:
    code = (
        "from core.settings import load_settings; from resources.spark.server import endpoint;"
        "print(endpoint(load_settings()).pid)"
    )
    asking = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)]
    answers = {process.communicate(timeout=120)[0] for process in asking}
    assert len(answers) == 1
    assert endpoint(settings).pid == int(answers.pop())


def test_the_server_outlives_the_process_that_started_it(settings: Settings) -> None:
    code = (
        "import os; from core.settings import load_settings; from resources.spark.server import endpoint;"
        "print(endpoint(load_settings()).pid, flush=True); os.killpg(0, 9)"
    )
    starter = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, start_new_session=True
    )
    assert starter.returncode == -signal.SIGKILL
    assert endpoint(settings).pid == int(starter.stdout)


def test_the_server_stops_when_it_is_idle(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SPARK_IDLE_SECONDS", "2")
    server = endpoint(load_settings())
    with socket.create_connection(("127.0.0.1", settings.spark_port)):
        time.sleep(3)  # longer than the server waits for a client
        assert server.alive
    until(lambda: not server.alive)
    assert not (settings.run_dir / "spark.json").exists()


def test_stop_ends_the_server_and_returns_whether_one_ran(settings: Settings) -> None:
    server = endpoint(settings)
    assert stop(settings)
    assert not server.alive
    assert not stop(settings)
    assert (
        subprocess.run([sys.executable, "-m", "resources.spark.server", "--stop"], cwd=ROOT, check=False).returncode
        == 0
    )


def test_a_stale_state_file_never_ends_another_process(settings: Settings) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        # As after a restart of the machine: another program now has this process id.
        settings.run_dir.mkdir(parents=True)
        state = {"engine": "embedded", "url": "sc://127.0.0.1:1", "pid": bystander.pid, "started": 1.0}
        (settings.run_dir / "spark.json").write_text(json.dumps(state | {"keeper": bystander.pid}))
        assert endpoint(settings).pid != bystander.pid
        assert bystander.poll() is None
        bystander.kill()


def test_the_server_listens_only_on_the_loopback_address(settings: Settings) -> None:
    server = endpoint(settings)
    listening = [c.laddr.ip for c in psutil.Process(server.pid).net_connections("tcp") if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_the_error_names_a_port_that_is_in_use(settings: Settings) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", settings.spark_port))
        listener.listen()
        with pytest.raises(Unavailable, match=f"Port {settings.spark_port} for Spark Connect is in use"):
            endpoint(settings)


def test_a_remote_endpoint_is_used_without_starting_a_server(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_SPARK", "sc://cluster.example:15002/;token=secret")
    assert endpoint(load_settings()) == Server("remote", "sc://cluster.example:15002/;token=secret")
    assert not stop(load_settings())


def test_an_unknown_engine_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SPARK", "flink")
    with pytest.raises(InvalidArgument, match="embedded, local or an address that begins with sc://"):
        endpoint(load_settings())


def test_a_folder_without_the_delta_jars_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SPARK", "local")
    monkeypatch.setenv("HEADWATER_SPARK_JARS_DIR", str(settings.home))
    with pytest.raises(Unavailable, match=r"HEADWATER_SPARK_JARS_DIR is .* no delta-spark jar"):
        endpoint(load_settings())
