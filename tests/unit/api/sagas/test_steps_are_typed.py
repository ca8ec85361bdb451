"""mypy sees an author's mistakes: a step that differs from what its saga declares does not type-check."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[4]

MISTAKES = '''
from sqlalchemy.engine import Connection

from api.kernel.models import Model, Request
from api.kernel.sagas.saga import ActivityStep, Output, Saga, SagaCall, StepContext, TransactionStep

class Move(Request):
    project: str
    """The project."""

class Other(Request):
    name: str
    """Its name."""

class NoRequest(Model):
    name: str
    """Its name."""

def freeze(connection: Connection, step: StepContext[Move]) -> Output:
    return {"project": step.input.project, "before": step.outputs["copy"]["size_bytes"]}

def thaw(connection: Connection, step: StepContext[Move]) -> None: ...

async def copy(step: StepContext[Move]) -> Output:
    return None

async def discard(step: StepContext[Move]) -> None: ...

def other(connection: Connection, step: StepContext[Other]) -> Output:
    return None

MOVE = Saga(
    "move", input=Move, steps=[TransactionStep("freeze", freeze, undo=thaw), ActivityStep("copy", copy, undo=discard)]
)

def call(move: Move) -> SagaCall[Move]:
    return MOVE.of(move)

def another_input(other: Other) -> SagaCall[Move]:
    return MOVE.of(other)  # wrong: the input of another saga

def wrong_field(connection: Connection, step: StepContext[Move]) -> Output:
    return {"project": step.input.projekt}  # wrong: no such field

def no_json_object(connection: Connection, step: StepContext[Move]) -> str:
    return "done"

Saga("a", input=Move, steps=[TransactionStep("other", other)])  # wrong: a step of another input
Saga("b", input=Move, steps=[TransactionStep("copy", copy)])  # wrong: not in a transaction
Saga("c", input=Move, steps=[ActivityStep("freeze", freeze)])  # wrong: not async
Saga("d", input=Move, steps=[TransactionStep("freeze", freeze, undo=discard)])  # wrong: undone outside
Saga("e", input=Move, steps=[TransactionStep("text", no_json_object)])  # wrong: no object
Saga("f", input=NoRequest, steps=[])  # wrong: not a request
'''


def test_every_mistake_is_an_error_and_nothing_else_is(tmp_path: Path) -> None:
    file = tmp_path / "mistakes.py"
    file.write_text(MISTAKES)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(file)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    reported = {int(number) for number in re.findall(r"mistakes\.py:(\d+): error", found)}
    expected = {number for number, line in enumerate(MISTAKES.splitlines(), 1) if "# wrong" in line}
    assert reported == expected, found
