"""The Spark Connect server of a platform: one process that starts on first use and stops when idle.

    python -m resources.spark.server --engine embedded|local --port N    serve in the foreground
    python -m resources.spark.server --stop                              end the server of this home

`endpoint` is the entry point for the rest of the platform. The state file identifies processes by id and start time, so
that no signal is sent to an unrelated process that reuses the id.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from core.errors import HeadwaterError, InvalidArgument, Unavailable
from core.settings import Settings, load_settings
from resources.spark.engines import HOST, accepts, start
from resources.spark.jars import jars

_START_SECONDS = {"embedded": 60.0, "local": 600.0}
"""Seconds until a start fails. The first start of `local` downloads the Delta jars."""

_GRACE_SECONDS = 15.0
_POLL_SECONDS = 0.05
_children: list[subprocess.Popen[bytes]] = []
"""Servers that this process started. They are polled so that exited ones don't remain as zombies."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Spark Connect server, as clients see it."""

    engine: str
    """`embedded`, `local` or `remote`."""
    url: str
    """`sc://` address. It includes the token if the engine requires one, so don't log it."""
    pid: int = 0
    """Id of the listening process; 0 for a remote server."""
    started: float = 0.0
    """Start time of that process, as the operating system reports it."""
    keeper: int = 0
    keeper_started: float = 0.0
    ready: bool = True

    @property
    def alive(self) -> bool:
        """Whether the process is running. Remote servers are assumed to run."""
        return not self.pid or _process(self.pid, self.started) is not None


def endpoint(settings: Settings) -> Server:
    """Returns the platform's Spark Connect server. Starts it if it isn't running.

    Safe to call from several processes concurrently: one starts the server, the others wait for it.

    Raises:
        InvalidArgument: the setting `spark` isn't a known engine.
        Unavailable: the server doesn't start. The message says why (no Java, port in use, no network for the jars...).
    """
    if settings.spark.startswith("sc://"):
        return Server("remote", settings.spark)
    if settings.spark not in _START_SECONDS:
        raise InvalidArgument(
            f"HEADWATER_SPARK is {settings.spark!r}. Choose embedded, local or an address that begins with sc://."
        )
    _reap()
    if server := _running(settings):
        return server
    with _locked(settings, _START_SECONDS[settings.spark]):
        if server := _running(settings):
            return server
        _end(settings)  # a server that died may have left processes behind
        return _launch(settings)


def stop(settings: Settings) -> bool:
    """Stops the server of this home folder. Returns whether one was running."""
    return _end(settings)


def serve(engine: str, settings: Settings, port: int, idle_seconds: float) -> int:
    """Runs the server until a signal, its exit, or `idle_seconds` without a client. Returns an exit code."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    if accepts(port):
        raise Unavailable(
            f"Port {port} for Spark Connect is in use by another program. Free the port or set HEADWATER_PORT."
        )
    running = start(engine, settings, port)
    server = _describe(engine, running.pid, port, running.token)
    try:
        _write(settings, replace(server, ready=False))
        while not running.ready():
            if stopping or running.exit_code() is not None:
                return running.exit_code() or 1
            time.sleep(_POLL_SECONDS)
        _write(settings, server)
        idle = _IdleTimer(running.pid, port, idle_seconds)
        while not stopping and running.exit_code() is None and not idle.expired():
            time.sleep(min(0.2, idle_seconds / 4))
        return running.exit_code() or 0
    finally:
        _state_file(settings).unlink(missing_ok=True)
        running.stop()


class _IdleTimer:
    """Detects a server without clients: a gRPC channel stays open while its session is in use."""

    def __init__(self, pid: int, port: int, limit_seconds: float) -> None:
        self._pid, self._port, self._limit = pid, port, limit_seconds
        self._last_used = self._last_checked = time.monotonic()

    def expired(self) -> bool:
        now = time.monotonic()
        if now - self._last_checked >= min(5.0, self._limit / 4):
            self._last_checked = now
            if self._clients():
                self._last_used = now
        return now - self._last_used > self._limit

    def _clients(self) -> int:
        with suppress(psutil.Error):
            connections = psutil.Process(self._pid).net_connections("tcp")
            return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == self._port for c in connections)
        return 0


def _launch(settings: Settings) -> Server:
    if settings.spark == "local":
        jars(settings)  # a download takes longer than a start, and its errors are clearer here
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    log_path = settings.logs_dir / "spark.log"
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".log.1"))
    command = ["-m", "resources.spark.server", "--engine", settings.spark, "--port", str(settings.spark_port)]
    with log_path.open("wb") as log:
        # In a separate session, so that canceling the run that starts Spark doesn't stop it for other runs.
        child = subprocess.Popen(
            [sys.executable, *command],
            cwd=Path(__file__).parent.parent,
            env=dict(os.environ) | settings.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children.append(child)
    deadline = time.monotonic() + _START_SECONDS[settings.spark]
    while time.monotonic() < deadline:
        server = _running(settings)
        if server and server.keeper == child.pid:
            return server
        if child.poll() is not None:
            raise Unavailable(f"The {settings.spark} Spark server did not start: {_failure_reason(log_path)}")
        time.sleep(_POLL_SECONDS)
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()
    raise Unavailable(
        f"The {settings.spark} Spark server was not ready after {_START_SECONDS[settings.spark]:g} s. See {log_path}."
    )


def _failure_reason(log: Path) -> str:
    """Returns the line of a log that describes why the server stopped."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    relevant = [line for line in lines if "not found" in line or "Exception" in line or line.startswith("error:")]
    reason = (relevant or lines or ["the log is empty"])[-1].removeprefix("error: ")
    return f"{reason} See {log}."


def _running(settings: Settings) -> Server | None:
    server = _read(settings)
    if server is None or not server.ready or server.engine != settings.spark or not server.alive:
        return None
    return server if accepts(settings.spark_port) else None


def _end(settings: Settings) -> bool:
    server = _read(settings)
    if server is None:
        return False
    keeper = _process(server.keeper, server.keeper_started)
    engine = _process(server.pid, server.started)
    if keeper:
        keeper.terminate()
        with suppress(psutil.TimeoutExpired):
            keeper.wait(_GRACE_SECONDS)
    for process in (keeper, engine):
        if process and process.is_running():
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(_GRACE_SECONDS)
    _state_file(settings).unlink(missing_ok=True)
    _reap()
    return bool(keeper or engine)


def _reap() -> None:
    _children[:] = [child for child in _children if child.poll() is None]


def _process(pid: int, started: float) -> psutil.Process | None:
    """Returns the process with that id, if it's still the process that started at that time."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) > 0.1 or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def _describe(engine: str, pid: int, port: int, token: str) -> Server:
    # The client accepts a token without TLS only for the host name `localhost`.
    url = f"sc://localhost:{port}/;token={token}" if token else f"sc://{HOST}:{port}"
    keeper = os.getpid()
    return Server(engine, url, pid, psutil.Process(pid).create_time(), keeper, psutil.Process(keeper).create_time())


def _state_file(settings: Settings) -> Path:
    return settings.run_dir / "spark.json"


def _read(settings: Settings) -> Server | None:
    try:
        return Server(**json.loads(_state_file(settings).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _write(settings: Settings, server: Server) -> None:
    temporary = _state_file(settings).with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)  # the file contains the token
    temporary.write_text(json.dumps(asdict(server)))
    temporary.replace(_state_file(settings))


@contextmanager
def _locked(settings: Settings, timeout_seconds: float) -> Iterator[None]:
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    with (settings.run_dir / "spark.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"Another process has been starting Spark for {timeout_seconds:g} seconds. Try again."
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line of this module."""
    settings = load_settings()
    parser = argparse.ArgumentParser(prog="python -m resources.spark.server", description="Spark Connect server.")
    parser.add_argument("--engine", choices=sorted(_START_SECONDS), default=settings.spark)
    parser.add_argument("--port", type=int, default=settings.spark_port)
    parser.add_argument("--idle-seconds", type=float, default=settings.spark_idle_seconds, help="0: never stop")
    parser.add_argument("--stop", action="store_true", help="stop the server of this home folder")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.stop:
            stop(settings)
            return 0
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        return serve(chosen.engine, settings, chosen.port, chosen.idle_seconds or float("inf"))
    except HeadwaterError as error:
        print(f"error: {error.detail}", file=sys.stderr, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
