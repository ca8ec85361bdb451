"""mypy sees an author's mistakes: a function that differs from what its decorator declares does not type-check."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec
from api.kernel.kinds.resource_kind import ResourceKind

ROOT = Path(__file__).parents[3]

MISTAKES = '''
from collections.abc import AsyncGenerator

from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.models import ListQuery, Model, Page, Query, Request
from api.kernel.kinds.streams import ServerEvent
from core.runs import Launch

KIND = Kind("thing", plural="things", title="Thing", description="A thing.", example="one")

class Thing(Model):
    id: str
    """Its id."""

class Other(Model):
    id: str
    """Its id."""

class Paint(Request):
    colour: str
    """The colour."""

@KIND.get(result=Thing)
async def right(ctx: Context, thing: str) -> Thing:
    return Thing(id=thing)

@KIND.action("paint", request=Paint, result=Thing)
async def also_right(ctx: Context, thing: str, request: Paint) -> Thing:
    return Thing(id=request.colour)

@KIND.get(result=Thing)  # wrong: another result
async def another_result(ctx: Context, thing: str) -> Other:
    return Other(id=thing)

@KIND.get(result=Thing)  # wrong: no id
async def no_id(ctx: Context) -> Thing:
    return Thing(id="")

@KIND.action("paint", request=Paint, result=Thing)  # wrong: no request
async def no_request(ctx: Context, thing: str) -> Thing:
    return Thing(id=thing)

@KIND.action("paint", request=Paint, long=True)  # wrong: no launch
async def no_launch(ctx: Context, thing: str, request: Paint) -> Thing:
    return Thing(id=thing)

@KIND.list(query=ListQuery, item=Thing)  # wrong: a bare list
async def bare_list(ctx: Context, query: ListQuery) -> list[Thing]:
    return []

@KIND.part("parts", query=Query, result=Thing)  # wrong: not async
def not_async(ctx: Context, thing: str, query: Query) -> Thing:
    return Thing(id=thing)

@KIND.action("paint", request=Paint, result=Thing)
async def wrong_field(ctx: Context, thing: str, request: Paint) -> Thing:
    return Thing(id=request.color)  # wrong: no such field

@KIND.get(result=Thing)
async def wrong_argument(ctx: Context, thing: str) -> Thing:
    return await ctx.transact(change, thing, coulour="red")  # wrong: no such argument

def change(connection: object, id: str, *, colour: str) -> Thing:
    return Thing(id=id)

KIND.action("paint", request=Paint)  # wrong: neither a result nor long
'''

MISTAKES_WITH_STORED_ONES = '''
from enum import StrEnum

from api.kernel.models import Model, Query, Request
from api.kernel.kinds.resource import Level, Resource, Spec, Status
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit

class BoxState(StrEnum):
    OPEN = "OPEN"
    SHUT = "SHUT"

class BoxSpec(Spec):
    title: str
    """Its title."""

class BoxStatus(Status):
    state: BoxState = BoxState.OPEN
    """How it is."""

class Box(Resource[BoxSpec, BoxStatus]):
    """A box."""

class Other(Resource[BoxSpec, BoxStatus]):
    """Something else."""

class Fill(Request):
    what: str
    """What to put in."""

class Filled(Model):
    count: int
    """How much is in it."""

BOX = ResourceKind(Box, plural="boxes", prefix="box", level=Level.PROJECT)

@BOX.transition("shut", request=Request, sources=(BoxState.OPEN,), to=BoxState.SHUT)
def right(unit: Unit, box: Box, request: Request) -> None:
    box.spec.title = "shut"

@BOX.command("fill", request=Fill, result=Filled)
def also_right(unit: Unit, box: Box, request: Fill) -> Filled:
    return Filled(count=len(request.what))

@BOX.transition("shut", request=Request, sources=(BoxState.OPEN,), to=BoxState.SHUT)  # wrong: another class
def another_class(unit: Unit, box: Other, request: Request) -> None: ...

@BOX.transition("shut", request=Request, sources=("OPEN",), to=BoxState.SHUT)  # wrong: a text is no state
def no_state(unit: Unit, box: Box, request: Request) -> None: ...

@BOX.command("fill", request=Fill, result=Filled)  # wrong: another answer
def another_answer(unit: Unit, box: Box, request: Fill) -> Box:
    return box

@BOX.command("fill", request=Fill, result=Filled)  # wrong: no request
def no_request(unit: Unit, box: Box) -> Filled:
    return Filled(count=0)

@BOX.command("fill", request=Fill, result=Filled)
def wrong_field(unit: Unit, box: Box, request: Fill) -> Filled:
    return Filled(count=box.spec.size)  # wrong: no such field

@BOX.view("content", query=Query, result=Filled)  # wrong: asynchronous
async def waits(unit: Unit, box: Box, query: Query) -> Filled:
    return Filled(count=0)

@BOX.validate  # wrong: a new one was nothing before
def never_new(unit: Unit, box: Box, before: Box) -> None: ...

@BOX.before("delete")  # wrong: another class
def before_another(unit: Unit, box: Other) -> None: ...

BOX.command("fill", request=Filled, result=Filled)  # wrong: an answer is no request
'''


@pytest.mark.slow
@pytest.mark.parametrize("text", [MISTAKES, MISTAKES_WITH_STORED_ONES], ids=["kinds", "stored kinds"])
def test_every_mistake_is_an_error_and_nothing_else_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mistakes.py"
    file.write_text(text)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(file)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    reported = {int(number) for number in re.findall(r"mistakes\.py:(\d+): error", found)}
    expected = {number for number, line in enumerate(text.splitlines(), 1) if "# wrong" in line}
    assert reported == expected, found


def test_names_of_fields_are_looked_up_as_a_kind_is_declared() -> None:
    class CrateSpec(Spec):
        title: str

    class Crate(Resource[CrateSpec, NoStatus]):
        """A crate."""

    arguments: dict[str, Any] = {"plural": "crates", "prefix": "crt", "level": Level.PROJECT}
    with pytest.raises(TypeError, match="the spec of Crate has no field owner, titel"):
        ResourceKind(Crate, immutable=("titel",), references=(Reference("owner", "admin.user"),), **arguments)
    with pytest.raises(KeyError, match="titel"):
        ResourceKind(Crate, filter_by=("spec.titel",), **arguments)
