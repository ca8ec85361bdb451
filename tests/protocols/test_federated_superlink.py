"""The same ServerApp and ClientApp with a real SuperLink and two real SuperNodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from federated import rounds
from federated.outcomes import unpack
from tests.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

APP = Path(__file__).parent / "flower_app"
REPOSITORY = Path(__file__).parents[2]
COMMANDS = Path(sys.executable).parent


@contextmanager
def running(folder: Path, environment: dict[str, str], command: str, *arguments: str) -> Iterator[Path]:
    """Starts a Flower process; ends it with its children."""
    log = folder / f"{command}-{len(list(folder.glob('*.log')))}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(COMMANDS / command), *arguments],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its child processes may outlive it
        process.wait(20)


def wait_for(condition: Callable[[], bool], logs: list[Path], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("\n".join(log.read_text()[-3000:] for log in logs))
        time.sleep(0.1)


def healthy(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
    return False


def test_a_superlink_with_two_supernodes_ends_with_the_weights_of_the_embedded_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = free_ports(3)
    nodes = [link + 1, link + 2]
    result = tmp_path / "weights.safetensors"
    (tmp_path / "flower").mkdir()
    (tmp_path / "flower" / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{link}"\ninsecure = true\n'
    )
    environment = os.environ | {
        "FLWR_HOME": str(tmp_path / "flower"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "PYTHONPATH": str(REPOSITORY),
        "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}",
    }
    place = ("--host", "127.0.0.1", "--port")
    with ExitStack() as stack:

        def start(command: str, *arguments: str) -> Path:
            return stack.enter_context(running(tmp_path, environment, command, *arguments))

        # Without this option, the SuperLink would download and install the dependencies of the app.
        logs = [start("flower-superlink", "--insecure", *place, str(link), "--disable-runtime-dependency-installation")]
        wait_for(lambda: healthy(link), logs)
        for number, port in enumerate(nodes):
            config = f"partition-id={number} num-partitions=2"
            address = f"127.0.0.1:{link}"
            logs.append(
                start(
                    "flower-supernode", "--insecure", *place, str(port), "--superlink", address, "--node-config", config
                )
            )
        submitted = subprocess.run(
            [str(COMMANDS / "flwr"), "run", str(APP), "here", "--run-config", f'result="{result}"'],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert submitted.returncode == 0, submitted.stdout + submitted.stderr
        wait_for(result.exists, logs)
        deployed = unpack(result.read_bytes())
    monkeypatch.syspath_prepend(str(APP))
    from site_app.apps import FEDERATION, SITES  # type: ignore[import-not-found]

    embedded = rounds.run(FEDERATION, SITES).weights
    assert embedded.keys() == deployed.keys()
    for name, array in embedded.items():
        # The SuperLink adds replies in the order of arrival, so the last digit may differ.
        np.testing.assert_allclose(deployed[name], array, rtol=0, atol=1e-12)
    assert np.abs(embedded["weights"]).max() > 0.05
