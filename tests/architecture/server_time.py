"""Checks in a separate process that the time of a server counts while it runs, and once.

A server counts in the tests that use it, not in the test in which it ends. One that detached itself counts, too.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from subprocess import PIPE

from tests.cpu_time import Servers, of_this_process

PROGRAM = "import os\nwhile sum(os.times()[:2]) < 0.7: pass\nprint('done', flush=True); input()"


def check_descendant(servers: Servers) -> None:
    """Checks a server that this process starts."""
    before = of_this_process()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=PIPE, stdout=PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == "done\n"
        assert servers.seconds() >= 0.5
        assert of_this_process() - before < 0.5
        server.communicate("\n")
    assert servers.seconds() < 0.5
    assert of_this_process() - before >= 0.5


def check_detached(servers: Servers) -> None:
    """Checks a server whose parent ends at once."""
    command = f"({shlex.join([sys.executable, '-c', PROGRAM])} <&3 & echo $!) 3<&0"
    with subprocess.Popen(["sh", "-c", command], stdin=PIPE, stdout=PIPE, text=True) as shell:
        assert shell.stdin
        assert shell.stdout
        detached = int(shell.stdout.readline())
        assert shell.stdout.readline() == "done\n"
        assert servers.seconds() < 0.5
        servers.add(detached)
        assert servers.seconds() >= 0.5
        shell.communicate("\n")
    assert servers.seconds() >= 0.5, "it ended, but it had been used"


if __name__ == "__main__":
    check_descendant(Servers())
    check_detached(Servers())
