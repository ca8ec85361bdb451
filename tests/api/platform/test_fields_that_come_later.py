"""A kind grows by fields with defaults, without a migration: stored resources have them in every process."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import pytest
from pydantic import Field

from api.kernel.kinds.resource import Level, Resource, Spec, Status, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.service import Service
from api.kernel.kinds.shape import shape_of
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from core.settings import load_settings
from tests.api.both_databases import on_both
from tests.api_process import Api, prepare, serving

GADGETS = "made-up/gadgets"


class GadgetState(StrEnum):
    ON = "ON"
    OFF = "OFF"


class Tier(StrEnum):
    BASIC = "BASIC"
    GOLD = "GOLD"


def earlier_kind() -> ResourceKind[Resource[Spec, Status]]:
    class GadgetPart(Request):
        name: str

    class GadgetSpec(Spec):
        title: Title
        parts: list[GadgetPart] = []

    class GadgetStatus(Status):
        state: GadgetState = GadgetState.OFF

    class Gadget(Resource[GadgetSpec, GadgetStatus]):
        """A made-up thing."""

    kind = ResourceKind(Gadget, plural="gadgets", prefix="gdg", level=Level.ORGANIZATION)

    @kind.transition("start", request=Request, sources=(GadgetState.OFF,), to=GadgetState.ON, past="started")
    def start(unit: Unit, gadget: Gadget, request: Request) -> None:
        """Starts it."""

    return kind  # type: ignore[return-value]


def later_kind() -> ResourceKind[Resource[Spec, Status]]:
    class GadgetPart(Request):
        name: str
        weight: Annotated[int, Field(ge=0)] = 5

    class GadgetSpec(Spec):
        title: Title
        parts: list[GadgetPart] = []
        tier: Tier = Tier.BASIC
        note: str | None = "none yet"
        tags: list[str] = ["plain"]
        size: int = 3
        spare: bool = True

    class GadgetUse(Model):
        count: int = 0

    class GadgetStatus(Status):
        state: GadgetState = GadgetState.OFF
        use: GadgetUse = GadgetUse()
        share: float = 0.5

    class Gadget(Resource[GadgetSpec, GadgetStatus]):
        """A made-up thing."""

    filter_by = ("spec.tier", "spec.note", "spec.tags", "spec.size", "spec.spare", "status.share", "spec.title")
    kind = ResourceKind(Gadget, plural="gadgets", prefix="gdg", level=Level.ORGANIZATION, filter_by=filter_by)

    @kind.transition("start", request=Request, sources=(GadgetState.OFF,), to=GadgetState.ON, past="started")
    def start(unit: Unit, gadget: Gadget, request: Request) -> None:
        """Starts it."""
        gadget.status.use.count += 1

    return kind  # type: ignore[return-value]


NEW_SPEC = {"tier": "BASIC", "note": "none yet", "tags": ["plain"], "size": 3, "spare": True}
NEW_STATUS = {"use": {"count": 0}, "share": 0.5}


class Releases(NamedTuple):
    """Two processes over one database, of the release before and of that after the fields came."""

    earlier: Api
    later: Api


@pytest.fixture
async def releases(tmp_path: Path, database_url: str) -> AsyncIterator[Releases]:
    settings = load_settings({"HEADWATER_HOME": str(tmp_path), "HEADWATER_DATABASE_URL": database_url})
    prepare(settings)
    earlier, later = (Service("made_up", "Made up", [kind()], description="-") for kind in (earlier_kind, later_kind))
    async with serving(settings, earlier) as old, serving(settings, later) as new:
        yield Releases(old, new)


async def names(api: Api, filter: str) -> list[str]:
    reply = await api.admin.get(GADGETS, params={"filter": filter, "order_by": "name"})
    assert reply.status == 200, reply.response.text
    return [item["name"] for item in reply.json["items"]]


@on_both
async def test_what_is_stored_has_the_new_fields_wherever_it_is_read(releases: Releases) -> None:
    body = {"name": "old", "spec": {"title": "Old", "parts": [{"name": "wheel"}]}}
    made = (await releases.earlier.admin.post(GADGETS, body)).json
    spec = {"title": "Old", "parts": [{"name": "wheel", "weight": 5}], **NEW_SPEC}
    status = {"state": "OFF", **NEW_STATUS}
    admin, one = releases.later.admin, f"{GADGETS}/{made['id']}"
    reply = await admin.get(one)
    assert reply.json == made | {"spec": spec, "status": status}, "the version and the etag stay"
    assert reply.headers["etag"] == made["etag"]
    assert (await admin.get(one, headers={"if-none-match": made["etag"]})).status == 304
    assert (await admin.get(GADGETS)).json["items"] == [reply.json]
    masked = await admin.get(GADGETS, params={"fields": "id,spec.tier,status.share"})
    assert masked.json["items"] == [{"id": made["id"], "spec": {"tier": "BASIC"}, "status": {"share": 0.5}}]
    assert json.loads((await admin.get(f"{GADGETS}:export")).response.text) == reply.json
    table = csv.DictReader(io.StringIO((await admin.get(f"{GADGETS}:export?format=csv")).response.text))
    assert [json.loads(row["spec"]) for row in table] == [spec]
    assert (await admin.get(f"{one}/revisions/1")).json == reply.json
    changed = await admin.stream(f"{GADGETS}:watch", 2, after="0")
    assert changed[-1]["data"]["resource"] == reply.json
    lines = (await admin.get("admin/organizations/org_default/contents")).response.text.splitlines()
    assert {"resource": reply.json} in [json.loads(line) for line in lines]


@on_both
async def test_filters_find_by_the_defaults_what_was_stored_without_the_fields(releases: Releases) -> None:
    await releases.earlier.admin.post(GADGETS, {"name": "old", "spec": {"title": "Old"}})
    other = {"tier": "GOLD", "note": None, "tags": ["fine"], "size": 9, "spare": False}
    await releases.later.admin.post(GADGETS, {"name": "new", "spec": {"title": "New", **other}})
    await releases.later.admin.post(GADGETS, {"name": "plain", "spec": {"title": "Plain"}})
    for filter, found in {
        'spec.tier == "BASIC"': ["old", "plain"],
        'spec.tier != "BASIC"': ["new"],
        "spec.note == null": ["new"],
        'spec.note.startsWith("none")': ["old", "plain"],
        '"plain" in spec.tags': ["old", "plain"],
        'spec.tier in ["GOLD"] || "fine" in spec.tags': ["new"],
        "spec.size < 4": ["old", "plain"],
        "spec.spare": ["old", "plain"],
        "!spec.spare": ["new"],
        "status.share == 0.5": ["new", "old", "plain"],
        'spec.title == "Old"': ["old"],
    }.items():
        assert await names(releases.later, filter) == found, filter
    counted = await releases.later.admin.get(GADGETS, params={"filter": 'spec.tier == "BASIC"', "total": "true"})
    assert counted.json["total_size"] == 2
    exported = await releases.later.admin.get(f"{GADGETS}:export", params={"filter": "spec.size < 4"})
    assert len(exported.response.text.splitlines()) == 2


async def test_completing_is_no_change_of_its_own(releases: Releases) -> None:
    made = (await releases.earlier.admin.post(GADGETS, {"name": "old", "spec": {"title": "Old"}})).json
    admin, one = releases.later.admin, f"{GADGETS}/{made['id']}"
    same = await admin("PATCH", one, json={"spec": {"tier": "BASIC"}}, headers={"if-match": made["etag"]})
    assert (same.status, same.json["etag"]) == (200, made["etag"])
    await admin("PATCH", one, json={"spec": {"title": "Other"}})
    newest = (await admin.get(f"{one}/revisions")).json["items"][0]
    assert (newest["version"], newest["changes"]) == (
        2,
        [{"pointer": "/spec/title", "before": "Old", "after": "Other"}],
    )
    started = await admin.post(f"{one}:start", {})
    assert started.json["status"] == {"state": "ON", "use": {"count": 1}, "share": 0.5}


async def test_a_process_of_the_release_before_serves_and_keeps_what_it_does_not_know(releases: Releases) -> None:
    spec = {"title": "New", "tier": "GOLD", "note": None, "parts": [{"name": "wheel", "weight": 8}], "size": 9}
    made = (await releases.later.admin.post(GADGETS, {"name": "new", "spec": spec})).json
    old, one = releases.earlier.admin, f"{GADGETS}/{made['id']}"
    assert (await old.get(one)).json["spec"]["title"] == "New"
    assert [item["id"] for item in (await old.get(GADGETS)).json["items"]] == [made["id"]]
    changed = await old("PATCH", one, json={"spec": {"title": "Changed"}, "labels": {"a": "b"}})
    assert changed.status == 200
    assert (await old.post(f"{one}:start", {})).status == 200
    refused = await old("PATCH", one, json={"spec": {"tier": "BASIC"}})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/spec/tier")
    now = (await releases.later.admin.get(one)).json
    assert now["spec"] == made["spec"] | {"title": "Changed"}
    assert now["status"] == made["status"] | {"state": "ON"}
    history = (await releases.later.admin.get(f"{one}/revisions")).json["items"]
    assert [change["pointer"] for change in history[1]["changes"]] == ["/labels/a", "/spec/title"]


def test_the_shape_is_that_of_the_fields_not_of_their_words() -> None:
    class First(Spec):
        title: str
        """Said so."""

    class Reworded(Spec):
        title: str = "now with a default"
        """Said otherwise."""

    class Inner(Request):
        weight: int = 0

    class Grown(Spec):
        title: str
        parts: dict[str, list[Inner]] = {}

    class InnerGrown(Request):
        weight: int = 0
        height: int = 0

    class GrownWithin(Spec):
        title: str
        parts: dict[str, list[InnerGrown]] = {}

    assert shape_of(First) == shape_of(Reworded)
    assert len({shape_of(First), shape_of(Grown), shape_of(GrownWithin)}) == 3
