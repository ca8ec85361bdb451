"""The Spark server's life: one per platform, started when needed, stopped when idle, and clear when it cannot start."""

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
from resources.spark_server import Server, endpoint, stop
from tests.ports import free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("HEADWATER_PORT", str(free_ports(5)))
    yield load_settings()
    stop(load_settings())


def until(condition: object, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_processes_that_need_it_at_once_share_one_server(settings: Settings) -> None:
    code = (
        "from core.settings import load_settings; from resources.spark_server import endpoint;"
        "print(endpoint(load_settings()).pid)"
    )
    asking = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)]
    answers = {process.communicate(timeout=120)[0] for process in asking}
    assert len(answers) == 1
    assert endpoint(settings).pid == int(answers.pop())


def test_it_outlives_whoever_started_it(settings: Settings) -> None:
    code = (
        "import os; from core.settings import load_settings; from resources.spark_server import endpoint;"
        "print(endpoint(load_settings()).pid, flush=True); os.killpg(0, 9)"
    )
    starter = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, start_new_session=True
    )
    assert starter.returncode == -signal.SIGKILL
    assert endpoint(settings).pid == int(starter.stdout)


def test_it_stops_when_nobody_uses_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SPARK_IDLE_SECONDS", "1")
    server = endpoint(load_settings())
    with socket.create_connection(("127.0.0.1", settings.spark_port)):
        time.sleep(2.5)
        assert server.alive
    until(lambda: not server.alive)
    assert not (settings.run_dir / "spark.json").exists()


def test_stop_ends_it_and_says_whether_one_ran(settings: Settings) -> None:
    server = endpoint(settings)
    assert stop(settings)
    assert not server.alive
    assert not stop(settings)
    assert (
        subprocess.run([sys.executable, "-m", "resources.spark_server", "--stop"], cwd=ROOT, check=False).returncode
        == 0
    )


def test_a_stale_state_file_never_costs_another_process_its_life(settings: Settings) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        # As after a reboot: the number belongs to another program now.
        settings.run_dir.mkdir(parents=True)
        state = {"engine": "embedded", "url": "sc://127.0.0.1:1", "pid": bystander.pid, "started": 1.0}
        (settings.run_dir / "spark.json").write_text(json.dumps(state | {"keeper": bystander.pid}))
        assert endpoint(settings).pid != bystander.pid
        assert bystander.poll() is None
        bystander.kill()


def test_it_listens_on_the_loopback_address_only(settings: Settings) -> None:
    server = endpoint(settings)
    listening = [c.laddr.ip for c in psutil.Process(server.pid).net_connections("tcp") if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_a_taken_port_is_named(settings: Settings) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", settings.spark_port))
        listener.listen()
        with pytest.raises(Unavailable, match=f"Port {settings.spark_port} of Spark Connect is taken"):
            endpoint(settings)


def test_a_remote_endpoint_is_left_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SPARK", "sc://cluster.example:15002/;token=secret")
    assert endpoint(load_settings()) == Server("remote", "sc://cluster.example:15002/;token=secret")
    assert not stop(load_settings())


def test_an_unknown_engine_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SPARK", "flink")
    with pytest.raises(InvalidArgument, match="embedded, local or an sc:// address"):
        endpoint(load_settings())


def test_a_folder_without_the_delta_jars_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SPARK", "local")
    monkeypatch.setenv("HEADWATER_SPARK_JARS_DIR", str(settings.home))
    with pytest.raises(Unavailable, match=r"did not start: HEADWATER_SPARK_JARS_DIR is .* no delta-spark jar"):
        endpoint(load_settings())
