"""The Spark Connect server of a platform: one process, started by whoever needs it first, stopped when idle.

    python -m resources.spark_server --engine embedded|local --port N    serve in the foreground
    python -m resources.spark_server --stop                              end the server of this home

`endpoint` is what the rest of the platform calls. Its state file names processes by id and start time, so a number
that the system has given to another program since is never signalled.
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
from resources.spark_engines import HOST, accepts, start

_START_SECONDS = {"embedded": 60.0, "local": 600.0}
"""The first start of `local` downloads the Delta jars."""

_GRACE_SECONDS = 15.0
_POLL_SECONDS = 0.05
_children: list[subprocess.Popen[bytes]] = []
"""Servers this process has started: polled, lest a dead one stay a zombie."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Spark Connect server as its clients see it."""

    engine: str
    """`embedded`, `local` or `remote`."""
    url: str
    """`sc://` address, with the token where the engine wants one: keep it out of logs."""
    pid: int = 0
    """The process that listens; 0 for a remote one."""
    started: float = 0.0
    """When that process started, as the system tells."""
    keeper: int = 0
    keeper_started: float = 0.0
    ready: bool = True

    @property
    def alive(self) -> bool:
        """Whether the process still runs; a remote server is taken to."""
        return not self.pid or _process(self.pid, self.started) is not None


def endpoint(settings: Settings) -> Server:
    """Returns the platform's Spark Connect server, starting it if none runs.

    Safe to call from many processes at once: one starts the server, the others wait for it.

    Raises:
        InvalidArgument: the setting `spark` names no engine.
        Unavailable: the server does not start; says why (no Java, port taken, no network for the Delta jars...).
    """
    if settings.spark.startswith("sc://"):
        return Server("remote", settings.spark)
    if settings.spark not in _START_SECONDS:
        raise InvalidArgument(f"HEADWATER_SPARK is {settings.spark!r}; use embedded, local or an sc:// address.")
    _children[:] = [child for child in _children if child.poll() is None]
    if server := _running(settings):
        return server
    with _locked(settings, _START_SECONDS[settings.spark]):
        if server := _running(settings):
            return server
        _end(settings)  # of a server that died, half of it may be left
        return _launch(settings)


def stop(settings: Settings) -> bool:
    """Ends the server of this home, if one runs. Returns whether one did."""
    return _end(settings)


def serve(engine: str, settings: Settings, port: int, idle_seconds: float) -> int:
    """Runs the server until it is told to stop, dies, or had no client for `idle_seconds`. Returns an exit code."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    if accepts(port):
        raise Unavailable(f"Port {port} of Spark Connect is taken by another program: free it or set HEADWATER_PORT.")
    running = start(engine, settings, port)
    server = _describe(engine, running.pid, port, running.token)
    try:
        _write(settings, replace(server, ready=False))
        while not running.ready():
            if stopping or running.exit_code() is not None:
                return running.exit_code() or 1
            time.sleep(_POLL_SECONDS)
        _write(settings, server)
        idle = _Idleness(running.pid, port, idle_seconds)
        while not stopping and running.exit_code() is None and not idle.over():
            time.sleep(min(0.2, idle_seconds / 4))
        return running.exit_code() or 0
    finally:
        _state_file(settings).unlink(missing_ok=True)
        running.stop()


class _Idleness:
    """Watches for a server without clients: a gRPC channel stays open as long as its session is in use."""

    def __init__(self, pid: int, port: int, limit_seconds: float) -> None:
        self._pid, self._port, self._limit = pid, port, limit_seconds
        self._used = self._looked = time.monotonic()

    def over(self) -> bool:
        now = time.monotonic()
        if now - self._looked >= min(5.0, self._limit / 4):
            self._looked = now
            if self._clients():
                self._used = now
        return now - self._used > self._limit

    def _clients(self) -> int:
        with suppress(psutil.Error):
            connections = psutil.Process(self._pid).net_connections("tcp")
            return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == self._port for c in connections)
        return 0


def _launch(settings: Settings) -> Server:
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    log_path = settings.logs_dir / "spark.log"
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".log.1"))
    command = ["-m", "resources.spark_server", "--engine", settings.spark, "--port", str(settings.spark_port)]
    with log_path.open("wb") as log:
        # A session of its own: cancelling the run that happens to start Spark must not end it for the others.
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
            raise Unavailable(f"The {settings.spark} Spark server did not start: {_last_words(log_path)}")
        time.sleep(_POLL_SECONDS)
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()
    raise Unavailable(
        f"The {settings.spark} Spark server was not ready after {_START_SECONDS[settings.spark]:g} s. See {log_path}."
    )


def _last_words(log: Path) -> str:
    """The line of a log that says why the server ended."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "not found" in line or "Exception" in line or line.startswith("error:")]
    reason = (telling or lines or ["it said nothing"])[-1].removeprefix("error: ")
    if any("unresolved dependency" in line or "UNRESOLVED" in line for line in lines):
        return (
            f"the Delta jars could not be had from Maven Central ({reason}). Check the network, or put the jars into "
            f"a folder and set HEADWATER_SPARK_JARS_DIR. See {log}."
        )
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
    return bool(keeper or engine)


def _process(pid: int, started: float) -> psutil.Process | None:
    """The process of that id, if it is still the one that started then."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) > 0.1 or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def _describe(engine: str, pid: int, port: int, token: str) -> Server:
    # The client accepts a token without TLS only for this very name.
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
    temporary.touch(mode=0o600)  # it holds the token
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
                    raise Unavailable("Another process has been starting Spark for too long. Try again.") from None
                time.sleep(_POLL_SECONDS)
        yield


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    settings = load_settings()
    parser = argparse.ArgumentParser(prog="python -m resources.spark_server", description="Spark Connect server.")
    parser.add_argument("--engine", choices=sorted(_START_SECONDS), default=settings.spark)
    parser.add_argument("--port", type=int, default=settings.spark_port)
    parser.add_argument("--idle-seconds", type=float, default=settings.spark_idle_seconds, help="0: never stop")
    parser.add_argument("--stop", action="store_true", help="end the server of this home")
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
