"""Training devices: selects CUDA, Apple's MPS or the CPU, and runs one trainer per device in a separate process.

An asset that trains uses a slot in the pool of the device, and runs its script through the resource:

    @dg.asset(pool=device_pool())
    def network(context: dg.AssetExecutionContext, device: Device) -> dg.MaterializeResult:
        trained = device.train(context, Path(__file__).with_name("train.py"), extras={"data": path})

The pool `device-cuda` should have as many slots as the machine has GPUs (`dagster instance concurrency set device-cuda
4`). A pool that isn't configured has one slot. The script uses Dagster Pipes and can run in another environment
(setting `torch_python`), so this process never imports PyTorch.
"""

from __future__ import annotations

import fcntl
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

import dagster as dg

from core.errors import InvalidArgument, Unavailable
from core.settings import Settings, load_settings

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A kind of device on this machine."""

    name: Literal["cuda", "mps", "cpu"]
    count: int
    """Number of devices; 1 for MPS and the CPU."""
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """The results that a trainer reported."""

    device: str
    """`cuda:0`, `mps` or `cpu`."""
    metrics: tuple[Mapping[str, Any], ...]
    """One entry per call of `report_custom_message({"metrics": {...}})`, in order."""
    results: tuple[dg.MaterializeResult[Any], ...]
    """Materializations that the script reported, for the asset to yield."""


class Device(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The training device of this machine."""

    name: str = "auto"
    """`auto`, `cuda`, `mps` or `cpu`."""

    def settings(self) -> Settings:
        """Returns the settings of this process."""
        return load_settings()

    def accelerator(self) -> Accelerator:
        """Returns the selected device.

        Raises:
            InvalidArgument: `name` isn't one of the four values.
            Unavailable: the machine doesn't have the named device.
        """
        if self.name not in ("auto", "cuda", "mps", "cpu"):
            raise InvalidArgument(f"Device {self.name!r} doesn't exist. Choose auto, cuda, mps or cpu.")
        best = detect()
        if self.name in ("auto", best.name):
            return best
        if self.name == "cpu":
            return _CPU
        raise Unavailable(f"This machine has no {self.name} device. Its best device is {best.name}. Use auto.")

    def train(
        self,
        context: dg.AssetExecutionContext,
        script: Path,
        *,
        arguments: Sequence[str] = (),
        extras: Mapping[str, Any] | None = None,
    ) -> Training:
        """Runs a Dagster Pipes script on a free device and waits until it ends.

        Its log lines appear in the run immediately. When the run is canceled, the script and all its child processes
        end. `HEADWATER_DEVICE` contains the device (`cuda`, `mps`, `cpu`); only the assigned GPU is visible.

        Args:
            context: context of the running asset.
            script: path of the Python file.
            arguments: command-line arguments of the script.
            extras: JSON values that the script reads with `pipes.extras`.

        Raises:
            Unavailable: the interpreter in the setting `torch_python` doesn't exist.
            Exception: the script failed; raised by Dagster's Pipes client. The output is in the log of the step.
        """
        settings = self.settings()
        python = _interpreter(settings)
        accelerator = self.accelerator()
        with _claimed_device(settings, accelerator, context) as index:
            device = f"cuda:{index}" if accelerator.name == "cuda" else accelerator.name
            context.log.info("training on %s with %s", device, python)
            invocation = dg.PipesSubprocessClient(termination_timeout_seconds=30).run(
                context=context.op_execution_context,  # Pipes calls deprecated methods of an asset context
                command=[sys.executable, "-m", "resources.process_group", python, str(script), *arguments],
                env=_environment(accelerator, index),
                extras=dict(extras or {}),
            )
        messages = [message for message in invocation.get_custom_messages() if isinstance(message, Mapping)]
        results = [result for result in invocation.get_results() if isinstance(result, dg.MaterializeResult)]
        return Training(device, tuple(m["metrics"] for m in messages if "metrics" in m), tuple(results))


def device_pool(name: str = "auto") -> str:
    """Returns the Dagster pool with one slot per device: `device-cuda`, `device-mps` or `device-cpu`."""
    return f"device-{Device(name=name).accelerator().name}"


@lru_cache(maxsize=1)
def detect() -> Accelerator:
    """Returns the best device of this machine, without importing PyTorch."""
    if models := _nvidia_models():
        return Accelerator("cuda", len(models), models)
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return Accelerator("mps", 1, ("Apple GPU",))
    return _CPU


_CPU = Accelerator("cpu", 1, (platform.processor() or platform.machine(),))


def _nvidia_models() -> tuple[str, ...]:
    # Definitions load often, and most machines have no GPU. Checking the driver's folder avoids starting a process.
    if sys.platform == "linux" and not Path("/proc/driver/nvidia").exists():
        return ()
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in output.stdout.splitlines() if line.strip())


def _interpreter(settings: Settings) -> str:
    python = settings.torch_python or sys.executable
    if shutil.which(python) is None:
        raise Unavailable(
            f"The interpreter {python} for trainers doesn't exist. Run `make setup-torch`, which creates .venv-torch, "
            "and set HEADWATER_TORCH_PYTHON to its bin/python."
        )
    return python


def _environment(accelerator: Accelerator, index: int) -> dict[str, str]:
    visible = str(index) if accelerator.name == "cuda" else ""
    return {"HEADWATER_DEVICE": accelerator.name, "CUDA_VISIBLE_DEVICES": visible, "PYTORCH_ENABLE_MPS_FALLBACK": "1"}


@contextmanager
def _claimed_device(settings: Settings, accelerator: Accelerator, context: dg.AssetExecutionContext) -> Iterator[int]:
    """Claims one device. The pool limits the number of trainers; this lock assigns a device to each of them."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    waiting = False
    with ExitStack() as stack:
        locks = [
            stack.enter_context((settings.run_dir / f"device-{accelerator.name}-{index}.lock").open("a"))
            for index in range(accelerator.count)
        ]
        while (index := _first_free(locks)) is None:
            if not waiting:
                context.log.info("waiting for a free %s device", accelerator.name)
                waiting = True
            time.sleep(_POLL_SECONDS)
        yield index


def _first_free(locks: Sequence[IO[str]]) -> int | None:
    for index, lock in enumerate(locks):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return index
    return None
