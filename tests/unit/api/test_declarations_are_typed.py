"""mypy sees an author's mistakes: a function that differs from what its decorator declares does not type-check."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

MISTAKES = '''
from collections.abc import AsyncGenerator

from api.kernel.context import Context
from api.kernel.kind import Kind
from api.kernel.models import ListQuery, Model, Page, Query, Request
from api.kernel.streams import ServerEvent
from core.ports import Launch

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


@pytest.mark.slow
def test_every_mistake_is_an_error_and_nothing_else_is(tmp_path: Path) -> None:
    file = tmp_path / "mistakes.py"
    file.write_text(MISTAKES)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(file)]
    found = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "cache")], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    reported = {int(number) for number in re.findall(r"mistakes\.py:(\d+): error", found)}
    expected = {number for number, line in enumerate(MISTAKES.splitlines(), 1) if "# wrong" in line}
    assert reported == expected, found
