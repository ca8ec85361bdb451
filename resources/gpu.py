"""Devices for training: picks CUDA, Apple's MPS or the CPU, one trainer per device at a time, in a process of its own.

An asset that trains asks for a slot of the device's pool, and runs its script through the resource:

    @dg.asset(pool=device_pool())
    def network(context: dg.AssetExecutionContext, device: Device) -> dg.MaterializeResult:
        trained = device.train(context, Path(__file__).with_name("train.py"), extras={"data": path})

The pool `device-cuda` should have as many slots as the machine has GPUs (`dagster instance concurrency set device-cuda
4`); a pool nobody configured has one. The script speaks Dagster Pipes and may live in another environment (setting
`torch_python`), so that PyTorch is never imported here.
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
    """What trainers run on here."""

    name: Literal["cuda", "mps", "cpu"]
    count: int
    """How many of them; 1 for MPS and the CPU."""
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """What a trainer reported."""

    device: str
    """`cuda:0`, `mps` or `cpu`."""
    metrics: tuple[Mapping[str, Any], ...]
    """One entry per `report_custom_message({"metrics": {...}})`, in order."""
    results: tuple[dg.MaterializeResult[Any], ...]
    """Materializations the script itself reported, for the asset to yield."""


class Device(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The device this machine trains on."""

    name: str = "auto"
    """`auto`, `cuda`, `mps` or `cpu`."""

    def settings(self) -> Settings:
        """The settings of this process."""
        return load_settings()

    def accelerator(self) -> Accelerator:
        """The chosen device.

        Raises:
            InvalidArgument: `name` is none of the four.
            Unavailable: the named device is not there.
        """
        if self.name not in ("auto", "cuda", "mps", "cpu"):
            raise InvalidArgument(f"The device {self.name!r} is unknown; use auto, cuda, mps or cpu.")
        found = detect()
        if self.name in ("auto", found.name):
            return found
        if self.name == "cpu":
            return _CPU
        raise Unavailable(f"There is no {self.name} device on this machine, which has {found.name}. Use auto.")

    def train(
        self,
        context: dg.AssetExecutionContext,
        script: Path,
        *,
        arguments: Sequence[str] = (),
        extras: Mapping[str, Any] | None = None,
    ) -> Training:
        """Runs a Dagster Pipes script on a free device and waits for it.

        Its log lines appear in the run as they come. Cancelling the run ends the script and every process it started.
        The script finds its device in `HEADWATER_DEVICE` (`cuda`, `mps`, `cpu`) and sees only the one GPU it was given.

        Args:
            context: the running asset's context.
            script: the Python file.
            arguments: its command line.
            extras: what it reads with `pipes.extras`; JSON.

        Raises:
            Unavailable: the interpreter of the setting `torch_python` is not there.
            Exception: the script failed, as Dagster's Pipes client says it; its output is in the log of the step.
        """
        settings = self.settings()
        python = _interpreter(settings)
        accelerator = self.accelerator()
        with _claimed(settings, accelerator, context) as index:
            device = f"cuda:{index}" if accelerator.name == "cuda" else accelerator.name
            context.log.info("training on %s with %s", device, python)
            invocation = dg.PipesSubprocessClient(termination_timeout_seconds=30).run(
                context=context.op_execution_context,  # Pipes asks an asset context for what Dagster deprecated there
                command=[sys.executable, "-m", "resources.process_group", python, str(script), *arguments],
                env=_environment(accelerator, index),
                extras=dict(extras or {}),
            )
        messages = [message for message in invocation.get_custom_messages() if isinstance(message, Mapping)]
        results = [result for result in invocation.get_results() if isinstance(result, dg.MaterializeResult)]
        return Training(device, tuple(m["metrics"] for m in messages if "metrics" in m), tuple(results))


def device_pool(name: str = "auto") -> str:
    """The Dagster pool whose slots stand for the devices: `device-cuda`, `device-mps` or `device-cpu`."""
    return f"device-{Device(name=name).accelerator().name}"


@lru_cache(maxsize=1)
def detect() -> Accelerator:
    """The best device of this machine, without importing PyTorch."""
    if models := _nvidia_models():
        return Accelerator("cuda", len(models), models)
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return Accelerator("mps", 1, ("Apple GPU",))
    return _CPU


_CPU = Accelerator("cpu", 1, (platform.processor() or platform.machine(),))


def _nvidia_models() -> tuple[str, ...]:
    # Definitions are loaded often, and most machines have no GPU: a look at the driver's folder spares a process.
    if sys.platform == "linux" and not Path("/proc/driver/nvidia").exists():
        return ()
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())


def _interpreter(settings: Settings) -> str:
    python = settings.torch_python or sys.executable
    if shutil.which(python) is None:
        raise Unavailable(
            f"The trainer's interpreter {python} is not there. Run `make setup-torch`, which makes .venv-torch, and "
            "set HEADWATER_TORCH_PYTHON to its bin/python."
        )
    return python


def _environment(accelerator: Accelerator, index: int) -> dict[str, str]:
    visible = str(index) if accelerator.name == "cuda" else ""
    return {"HEADWATER_DEVICE": accelerator.name, "CUDA_VISIBLE_DEVICES": visible, "PYTORCH_ENABLE_MPS_FALLBACK": "1"}


@contextmanager
def _claimed(settings: Settings, accelerator: Accelerator, context: dg.AssetExecutionContext) -> Iterator[int]:
    """Holds one device. The pool says how many trainers run at once; this says which of them has which device."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    said = False
    with ExitStack() as stack:
        locks = [
            stack.enter_context((settings.run_dir / f"device-{accelerator.name}-{index}.lock").open("a"))
            for index in range(accelerator.count)
        ]
        while (index := _first_free(locks)) is None:
            if not said:
                context.log.info("every %s device is taken; waiting", accelerator.name)
                said = True
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
