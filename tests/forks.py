"""Runs a test program in forks of a process that has imported it.

A program that is killed at many moments starts in milliseconds instead of seconds of imports, as runs of the platform
do (`dagster_project.zygote`). The module of the program has a function `run(arguments)`.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass
class Fork:
    """A running program."""

    parent: Forks
    pid: int
    output: Path
    """What the program prints."""
    code: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal; `None` while the program runs."""
        if self.code is None:
            self.code = self.parent.request({"do": "poll", "pid": self.pid})
        return self.code

    def wait(self) -> int:
        """Waits until the program ends and returns its exit code."""
        if self.code is None:
            self.code = self.parent.request({"do": "wait", "pid": self.pid})
        return self.code

    def kill(self) -> None:
        """Kills the program and waits for its end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)  # its parent has not waited for it, so the id is still its own
            self.wait()


class Forks:
    """The process that has imported the program."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, output: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Fork:
        """Starts the program."""
        request = {"do": "start", "output": str(output), "arguments": [*arguments], "environment": {**environment}}
        return Fork(self, self.request(request), output)

    def request(self, request: Mapping[str, Any]) -> Any:
        """Sends a request to the process and returns its response."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def forks_of(module: str) -> Iterator[Forks]:
    """Imports a program in a new process, which ends with its last use."""
    command = [sys.executable, "-m", "tests.forks", module]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Forks(process)


def main(module: str) -> None:
    """Answers requests until standard input ends."""
    program = importlib.import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        match request["do"]:
            case "start":
                pid = os.fork()
                if pid == 0:
                    _run(program, request)
                response: int | None = pid
            case "poll":
                ended, status = os.waitpid(request["pid"], os.WNOHANG)
                response = os.waitstatus_to_exitcode(status) if ended else None
            case _:
                response = os.waitstatus_to_exitcode(os.waitpid(request["pid"], 0)[1])
        print(json.dumps(response), flush=True)


def _run(program: Any, request: Mapping[str, Any]) -> None:
    code = 1
    try:
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(request["environment"])
        program.run(request["arguments"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
