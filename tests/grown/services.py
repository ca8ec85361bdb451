"""The services of a platform that has grown to its full size: made-up declarations over the real kernel.

They are written as source and imported, as those of `api/services` are, so that the start, the documents and the suite
cost what they would.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import api.main
from api.kernel.kinds.service import Service

KINDS = 280
OPERATIONS = 2_400
SERVICES = 9
"""Made-up ones, in addition to the real ones: fourteen in all."""

PACKAGE = "grown_services"

HEAD = '''"""A made-up service."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.service import Service
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Query, Request

'''

STORED = '''
class Thing^State(StrEnum):
    """A CLOSED thing takes no more."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Thing^Spec(Spec):
    """What a thing is."""

    title: Title
    """Name for people."""

    limit: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Most that it takes."""

    words: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=20)] = []
    """What it is found by."""


class Thing^Status(Status):
    """How it is."""

    state: Thing^State = Thing^State.OPEN
    """Whether it takes more."""


class Thing^(Resource[Thing^Spec, Thing^Status]):
    """Something that is stored."""


THING_% = ResourceKind(
    Thing^, plural="thing-~s", prefix="z~", level=Level.<level>, filter_by=("spec.limit", "status.state")
)


@THING_%.transition("close", request=Request, sources=(Thing^State.OPEN,), to=Thing^State.CLOSED, past="closed")
def close_thing_~(unit: Unit, thing: Thing^, request: Request) -> None:
    """Closes a thing."""

'''

ELSEWHERE = '''
class Fact^(Model):
    """Something that lives elsewhere."""

    id: str
    """Its id."""

    note: str | None
    """What is said of it."""


class Count^(Request):
    """What to count."""

    least: Annotated[int, Field(ge=0)] = 0
    """The least that counts."""


FACT_% = Kind("fact_~", plural="fact-~s", title="Fact ~", description="Something elsewhere.", example="fact-~-1")


@FACT_%.list(query=ListQuery, item=Fact^)
async def list_facts_~(ctx: Context, query: ListQuery) -> Page[Fact^]:
    """Lists the facts."""
    return Page(items=[], next_page_token=None)


@FACT_%.get(result=Fact^)
async def get_fact_~(ctx: Context, fact: str) -> Fact^:
    """Returns a fact."""
    raise FACT_%.unknown(fact)


@FACT_%.part("notes", query=Query, result=Fact^)
async def get_notes_~(ctx: Context, fact: str, query: Query) -> Fact^:
    """Returns the notes of a fact."""
    raise FACT_%.unknown(fact)


@FACT_%.collection_read("totals", query=Query, result=Fact^)
async def get_totals_~(ctx: Context, query: Query) -> Fact^:
    """Returns the totals of all facts."""
    return Fact^(id="", note=None)


@FACT_%.action("count", request=Count^, result=Fact^, past="counted")
async def count_fact_~(ctx: Context, fact: str, request: Count^) -> Fact^:
    """Counts a fact again."""
    raise FACT_%.unknown(fact)

'''
PER_STORED = 12
PER_ELSEWHERE = 5


def written(folder: Path) -> list[str]:
    """Writes the modules of the made-up services below `folder`, and returns their names."""
    package = folder / PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("")
    existing = api.main.SERVICES
    kinds = KINDS - sum(len(service.kinds) for service in existing)
    operations = OPERATIONS - sum(len(service.endpoints) for service in existing)
    # How many of each sort, so that both numbers come out.
    stored = (operations - PER_ELSEWHERE * kinds) // (PER_STORED - PER_ELSEWHERE)
    names = [f"grown_{letter}" for letter in ascii_lowercase[:SERVICES]]
    words = ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]
    for number, name in enumerate(names):
        parts, made = [HEAD], []
        for index in range(number, kinds, SERVICES):
            kind = STORED if index < stored else ELSEWHERE
            parts.append(filled(kind, words[index], level="PROJECT" if index % 2 else "ORGANIZATION"))
            made.append(f"{'THING' if index < stored else 'FACT'}_{words[index].upper()}")
        parts.append(
            f'\nSERVICE = Service("{name}", "Grown {name[-1]}", [{", ".join(made)}], description="Made up.")\n'
        )
        (package / f"{name}.py").write_text("".join(parts))
    return names


def filled(template: str, word: str, **words: str) -> str:
    for name, value in words.items():
        template = template.replace(f"<{name}>", value)
    return template.replace("^", word.title()).replace("%", word.upper()).replace("~", word)


def imported(folder: Path) -> Iterator[Service]:
    """The made-up services, written below `folder`."""
    names = written(folder)
    sys.path.insert(0, str(folder))
    for name in names:
        yield importlib.import_module(f"{PACKAGE}.{name}").SERVICE


def install(folder: Path) -> None:
    """Makes this process one of the grown platform, before anything else has asked for its services."""
    assert "tests.conformance.operations" not in sys.modules
    api.main.SERVICES = (*api.main.SERVICES, *imported(folder))
    from tests.conformance import operations

    for kind in operations.STORED:
        draft: Any = ({"title": "One", "limit": 3}, {"title": "Other"})
        operations.DRAFTS.setdefault(kind.full_name, draft)
