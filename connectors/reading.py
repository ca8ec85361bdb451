"""Content of another system, read in a separate process as fast as it arrives."""

from __future__ import annotations

import json
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from connectors import starting
from connectors.connector import Config, Connector
from connectors.egress import Egress
from core.errors import Conflict, Unavailable

SILENT_SECONDS = 1800.0
"""How long a system may send nothing, such as while it sorts, before the reading ends."""


class Reader(ABC):
    """A process that reads from another system. It ends with the block, however that ends."""

    def __init__(self, connector: Connector, config: Config, egress: Egress, asked: Mapping[str, Any]) -> None:
        self._title = connector.title
        self._request = starting.request(connector, config, egress, asked)

    def __enter__(self) -> Self:
        """Starts to read.

        Raises:
            Conflict: the system refused.
            Unavailable: it did not answer.
        """
        self._process = subprocess.Popen(
            starting.COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=starting.environment(),
        )
        try:
            assert self._process.stdin
            # It stays open: the process ends when this one does.
            self._process.stdin.write(self._request)
            self._process.stdin.flush()
            self._begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    @abstractmethod
    def _begin(self) -> None:
        """Reads what describes the content."""

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout
        text = self._timed(self._process.stdout.readline)
        if not text:
            raise Unavailable(
                f"{self._title} sent nothing for {SILENT_SECONDS:g} s, or the process that reads it ended. Try again."
            )
        line: dict[str, Any] = json.loads(text)
        if reason := line.get("failed"):
            raise Conflict(line["detail"], metadata={"cause": reason})
        return line

    def _bytes(self, size: int) -> bytes:
        assert self._process.stdout
        stdout = self._process.stdout
        content = self._timed(lambda: stdout.read(size))
        if len(content) < size:
            raise Unavailable(f"The process that reads {self._title} ended too early. Try again.")
        return content

    def _timed(self, read: Callable[[], bytes]) -> bytes:
        """Returns what `read` returns. At the deadline, the process is ended, so that it returns nothing."""
        deadline = threading.Timer(SILENT_SECONDS, self._process.kill)
        deadline.daemon = True
        deadline.start()
        try:
            return read()
        finally:
            deadline.cancel()
