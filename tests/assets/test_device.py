"""Trainers on devices: one at a time per device, with streamed logs, in their own environment."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from core.errors import InvalidArgument, Unavailable
from core.settings import load_settings
from resources import gpu
from resources.gpu import Accelerator, Device, device_pool

TRAINER = """
import os, sys, time
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    began = time.time()
    pipes.log.info("working")
    time.sleep(pipes.extras.get("seconds", 0))
    pipes.report_custom_message({"metrics": {
        "device": os.environ["HEADWATER_DEVICE"], "visible": os.environ["CUDA_VISIBLE_DEVICES"],
        "began": began, "ended": time.time(), "arguments": sys.argv[1:],
    }})
    pipes.report_asset_materialization(metadata={"rows": 3})
    if pipes.extras.get("fail"):
        sys.exit(3)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "trainer.py"
    path.write_text(TRAINER)
    return path


def train(script: Path, *, pool: str | None = None, instance: dg.DagsterInstance | None = None, **extras: Any) -> Any:
    trainings = []

    @dg.asset(pool=pool)
    def network(context: dg.AssetExecutionContext, device: Device) -> Any:
        trained = device.train(context, script, arguments=["--fast"], extras=extras)
        trainings.append(trained)
        return trained.results[0]

    with instance or dg.DagsterInstance.ephemeral() as running:
        result = dg.materialize([network], resources={"device": Device()}, instance=running)
    assert result.success
    (event,) = result.asset_materializations_for_node("network")
    return trainings[0], event


def test_a_trainer_reports_metrics_and_its_materialization(home: Path, script: Path) -> None:
    trained, event = train(script)
    accelerator = gpu.detect()
    assert trained.metrics[0]["device"] == accelerator.name
    assert trained.device.split(":")[0] == accelerator.name
    assert trained.metrics[0]["arguments"] == ["--fast"]
    assert event.metadata["rows"].value == 3


def test_log_lines_of_the_trainer_appear_in_the_run(
    home: Path, script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(script)
    assert any(line.endswith("network - working") for line in capfd.readouterr().err.splitlines())


def test_a_failed_trainer_fails_the_step(home: Path, script: Path) -> None:
    with pytest.raises(Exception, match="process failed with code 3"):
        train(script, fail=True)


def test_two_trainers_on_two_gpus_get_one_each(home: Path, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "detect", lambda: Accelerator("cuda", 2, ("A", "B")))
    first, second, third = _together([lambda: train(script, seconds=1.5)] * 3)
    visible = sorted(trained.metrics[0]["visible"] for trained, _ in (first, second, third))
    assert visible[0] == "0"
    assert visible[-1] == "1"
    spans = [trained.metrics[0] for trained, _ in (first, second, third)]
    for one in spans:
        for other in spans:
            apart = one["ended"] <= other["began"] or other["ended"] <= one["began"]
            assert one is other or apart or one["visible"] != other["visible"]


def _together(calls: list[Any]) -> list[Any]:
    results: list[Any] = [None] * len(calls)

    def call(number: int) -> None:
        results[number] = calls[number]()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.slow
def test_the_pool_lets_one_trainer_run_at_a_time(home: Path, script: Path, tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text(
        "concurrency: {pools: {granularity: op, default_limit: 1}}\ntelemetry: {enabled: false}\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        instance.event_log_storage.initialize_concurrency_limit_to_default(device_pool())
        limits = instance.event_log_storage.get_concurrency_info(device_pool())
        assert limits.slot_count == 1
        holder = "a-step-of-another-run"
        run = instance.create_run_for_job(_holder_job())
        claimed = instance.event_log_storage.claim_concurrency_slot(device_pool(), run.run_id, holder)
        assert claimed.is_claimed
        waited = threading.Timer(2.0, instance.event_log_storage.free_concurrency_slot_for_step, [run.run_id, holder])
        waited.start()
        import time

        began = time.time()
        trained, _ = train(script, pool=device_pool(), instance=instance)
        assert trained.metrics[0]["began"] - began > 1.5


def _holder_job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def holder() -> None:
        nothing()

    return holder


def test_the_device_is_the_requested_one_or_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "detect", lambda: Accelerator("cuda", 1, ("A",)))
    assert Device(name="cpu").accelerator().name == "cpu"
    assert device_pool() == "device-cuda"
    assert device_pool("cpu") == "device-cpu"
    with pytest.raises(Unavailable, match="no mps device"):
        Device(name="mps").accelerator()
    with pytest.raises(InvalidArgument, match="tpu"):
        Device(name="tpu").accelerator()


def test_a_missing_interpreter_says_what_to_do(home: Path, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_TORCH_PYTHON", "/nowhere/python")
    with pytest.raises(Unavailable, match="make setup-torch"):
        train(script)


@pytest.mark.slow
@pytest.mark.skipif(not load_settings().torch_python, reason="`make test` installs PyTorch and sets the interpreter")
def test_a_network_learns_digits_on_the_device(home: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file
    from sklearn.datasets import load_digits

    model = tmp_path / "digits.safetensors"
    trained, event = train(Path(__file__).parents[2] / "examples" / "train_digits.py", epochs=8, model=str(model))
    assert "torch" not in sys.modules
    assert [entry["epoch"] for entry in trained.metrics] == list(range(1, 9))
    assert trained.metrics[-1]["loss"] < trained.metrics[0]["loss"]
    assert event.metadata["accuracy"].value > 0.93
    weights = load_file(model)
    pixels, labels = load_digits(return_X_y=True)
    hidden = np.maximum(pixels / 16 @ weights["0.weight"].T + weights["0.bias"], 0)
    answers = (hidden @ weights["2.weight"].T + weights["2.bias"]).argmax(1)
    assert (answers == labels).mean() > 0.95
    assert json.dumps(trained.metrics)
