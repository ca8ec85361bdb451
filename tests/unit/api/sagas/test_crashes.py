"""kill -9 and SIGSTOP of real processes at every point: the saga is then finished or undone, its effects once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.kernel.operations import store
from api.kernel.operations.store import OperationState
from api.kernel.platform import Platform
from api.kernel.sagas.runner import Runner
from api.kernel.tables import OPERATION
from core import clock
from tests.forks import Forks, forks_of
from tests.sagas import Order, begun, effects, files, finished, later, stored

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[4]

# One write takes the lease, two belong to each step: its start and its completion.
FORWARD = [f"after:{count}" for count in range(1, 9)] + ["in:reserve", "in:charge", "late:charge", "in:ship"]
FORWARD += ["in:confirm", "late:confirm"]
# After the lease, three steps, the start and the failure of the fourth: two writes undo each step.
BACKWARD = [f"after:{count}" for count in range(9, 17)] + ["undo:ship", "before-undo:charge", "undo:charge"]
BACKWARD += ["undo:reserve", "undo:confirm"]


def program(url: str, home: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.sagas", url, str(home), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with forks_of("tests.sagas") as started:
        yield started


@pytest.fixture
def run(forks: Forks, url: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    """Returns a function that runs the program until it ends, and returns its exit code."""
    output = tmp_path_factory.mktemp("output") / "output"
    return lambda *arguments: forks.start(output, [url, str(tmp_path), *arguments], os.environ).wait()


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


def happened(platform: Platform, id: str) -> list[tuple[str, str]]:
    with platform.database.read() as connection:
        return effects(connection, id)


class TestKill:
    @pytest.mark.parametrize("point", FORWARD)
    async def test_on_the_way_the_next_process_finishes_it(
        self, platform: Platform, runner: Runner, run: Callable[..., int], tmp_path: Path, point: str
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        assert run(id, point) == -signal.SIGKILL
        assert not stored(platform.database, id).state.final
        await runner.start_waiting()
        assert not runner._tasks, "the lease of the dead one is still valid"
        with later(minutes=1):
            row = await finished(platform.database, runner, id)
        assert (row.state, row.error, row.done) == (OperationState.SUCCEEDED, None, 4)
        assert happened(platform, id) == [("reserve", "do"), ("ship", "do")]
        assert files(tmp_path) == ["charge", "confirm"]

    @pytest.mark.parametrize("point", BACKWARD)
    async def test_on_the_way_back_the_next_process_undoes_the_rest(
        self, platform: Platform, runner: Runner, run: Callable[..., int], tmp_path: Path, point: str
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path), fails_at="confirm"))
        assert run(id, point) == -signal.SIGKILL
        with later(minutes=1):
            row = await finished(platform.database, runner, id)
        assert (row.state, row.done) == (OperationState.FAILED, 0)
        assert row.error == "Step confirm failed: confirm is not possible. The steps were undone."
        assert happened(platform, id) == [("reserve", "do"), ("ship", "do"), ("ship", "undo"), ("reserve", "undo")]
        assert files(tmp_path) == []

    @pytest.mark.parametrize("point", ["in:reserve", "late:charge", "after:5"])
    async def test_and_cancelled_meanwhile_everything_is_undone(
        self, platform: Platform, runner: Runner, run: Callable[..., int], tmp_path: Path, point: str
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        assert run(id, point) == -signal.SIGKILL
        with platform.database.write() as connection:
            store.request_cancel(connection, id)
        with later(minutes=1):
            row = await finished(platform.database, runner, id)
        assert (row.state, row.done) == (OperationState.CANCELED, 0)
        done = happened(platform, id)
        assert done in ([], [("reserve", "do"), ("reserve", "undo")])
        assert files(tmp_path) == []

    async def test_again_and_again_in_the_same_step_ends_as_a_failure(
        self, platform: Platform, runner: Runner, run: Callable[..., int], tmp_path: Path
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        for _ in range(5):
            assert run(id, "in:ship") == -signal.SIGKILL
            with platform.database.write() as connection:
                connection.execute(OPERATION.update().values(lease_expires_at=clock.now()))
        row = await finished(platform.database, runner, id)
        assert row.state is OperationState.FAILED
        assert str(row.error).startswith("Step ship failed 5 times: its process died in each attempt")
        assert happened(platform, id) == [("reserve", "do"), ("reserve", "undo")]
        assert files(tmp_path) == []


class TestPause:
    @pytest.mark.parametrize("point", ["in:charge", "late:charge", "after:5"])
    async def test_a_process_that_wakes_up_after_another_took_over_changes_nothing(
        self, platform: Platform, runner: Runner, url: str, tmp_path: Path, point: str
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        process = program(url, tmp_path, id, point, "SIGSTOP")
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        with later(minutes=1):
            after = await finished(platform.database, runner, id)
        assert after.state is OperationState.SUCCEEDED
        process.send_signal(signal.SIGCONT)
        assert ended(process) == 0
        assert stored(platform.database, id) == after
        assert happened(platform, id) == [("reserve", "do"), ("ship", "do")]
        assert files(tmp_path) == ["charge", "confirm"]


async def test_two_processes_never_carry_out_one_saga_at_the_same_time(
    platform: Platform, url: str, tmp_path: Path
) -> None:
    ids = [begun(platform.database, Order(folder=str(tmp_path))) for _ in range(30)]
    (tmp_path / "ids").write_text("\n".join(ids))
    processes = [program(url, tmp_path, "all") for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [ended(process) for process in processes] == [0, 0]
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert sorted((id, step) for id, step, _ in calls) == sorted((id, s) for id in ids for s in ("charge", "confirm"))
    assert len({worker for *_, worker in calls}) == 2, "both took part"
    assert list(tmp_path.glob("*.overlap")) == []
    for id in ids:
        assert stored(platform.database, id).state is OperationState.SUCCEEDED
        assert happened(platform, id) == [("reserve", "do"), ("ship", "do")]
        assert len({worker for operation, _, worker in calls if operation == id}) == 1
