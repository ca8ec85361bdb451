"""The protocol of the zygote: one JSON line in each direction, over a Unix socket in the run folder.

It uses only the standard library, so that a subprocess job can ask the zygote before it imports Dagster.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MAX_PATH = 100  # Linux limits socket addresses to 108 bytes
_CHUNK = 1 << 16


class ZygoteUnavailable(Exception):
    """No zygote serves the socket, or it did not respond in time."""


def listen(run_dir: Path) -> socket.socket:
    """Opens the socket, which only the current user can access, and replaces the socket of a killed zygote."""
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / "zygote.sock"
    temporary = run_dir / f".zygote.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    previous = os.umask(0o177)
    try:
        with _Folder(run_dir) as folder:
            listener.bind(folder + temporary.name)
    finally:
        os.umask(previous)
    listener.listen(128)
    temporary.replace(path)
    return listener


def connect(run_dir: Path, timeout_seconds: float) -> socket.socket:
    """Connects to the zygote of a run folder.

    Raises:
        ZygoteUnavailable: no process listens on the socket.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_seconds)
    try:
        with _Folder(run_dir) as folder:
            connection.connect(f"{folder}zygote.sock")
    except OSError as error:
        connection.close()
        raise ZygoteUnavailable(f"no zygote listens in {run_dir} ({error.strerror or error})") from error
    return connection


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Sends one message.

    Raises:
        ZygoteUnavailable: the peer closed the connection.
    """
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError as error:
        raise ZygoteUnavailable(f"the connection broke ({error.strerror or error})") from error


def receive(connection: socket.socket) -> dict[str, Any]:
    """Receives one message.

    Raises:
        ZygoteUnavailable: the peer closed the connection or did not respond in time.
    """
    received = bytearray()
    try:
        while not received.endswith(b"\n"):
            chunk = connection.recv(_CHUNK)
            if not chunk:
                raise ZygoteUnavailable("the connection was closed")
            received += chunk
    except OSError as error:
        raise ZygoteUnavailable(f"no response ({error.strerror or error})") from error
    message: dict[str, Any] = json.loads(received)
    return message


class _Folder:
    """A path prefix for the files of a folder that is short enough for a socket address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._folder)) + len("/.zygote.4194304") <= _MAX_PATH:
            return f"{self._folder}/"
        self._descriptor = os.open(self._folder, os.O_RDONLY)
        return f"/proc/self/fd/{self._descriptor}/"

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
