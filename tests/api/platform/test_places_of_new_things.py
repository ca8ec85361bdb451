"""Where a new thing may be made: in a scope of its kind's level that the caller may see and that takes new things."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admin.tenants import made, tenant
from tests.api.platform.conftest import Library
from tests.api.platform.library import BOOKS, RULES, STAMPS, reader
from tests.api_process import Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def create(caller: Any, path: str, name: str, **place: str | None) -> Reply:
    reply: Reply = await caller.post(path, {"name": name, "spec": {}, **place})
    return reply


def fault(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.json["errors"][0]["pointer"] if reply.json["errors"] else None


async def test_what_belongs_to_a_project_names_one(library: Library) -> None:
    admin, home = library.home.admin, library.home
    other = await tenant(library.api, "placeother")
    assert fault(await create(admin, BOOKS, "p1")) == (422, "/project_id")
    assert fault(await create(admin, BOOKS, "p2", organization_id=home.organization)) == (422, "/project_id")
    assert fault(await create(admin, BOOKS, "p3", project_id="none")) == (404, "/project_id")
    assert fault(await create(admin, BOOKS, "p4", project_id=other.project)) == (404, "/project_id")
    both = {"project_id": home.project, "organization_id": other.organization}
    assert fault(await create(admin, BOOKS, "p5", **both)) == (404, "/organization_id")
    assert fault(await create(library.api.admin, BOOKS, "p6", **both)) == (422, "/organization_id")
    fitting = {"project_id": home.project, "organization_id": home.organization}
    reply = await create(admin, BOOKS, "p7", **fitting)
    assert (reply.status, reply.json["organization_id"], reply.json["project_id"]) == (201, *reversed(fitting.values()))
    by_name = await create(admin, BOOKS, "p8", project_id="home_data")
    assert (by_name.status, by_name.json["project_id"]) == (201, home.project)


async def test_what_belongs_to_an_organization_is_by_default_of_that_of_the_caller(library: Library) -> None:
    admin, home = library.home.admin, library.home
    other = await tenant(library.api, "placeorg")
    reply = await create(admin, STAMPS, "s1")
    assert (reply.status, reply.json["organization_id"], reply.json["project_id"]) == (201, home.organization, None)
    assert fault(await create(admin, STAMPS, "s2", project_id=home.project)) == (422, "/project_id")
    assert fault(await create(admin, STAMPS, "s3", organization_id=other.organization)) == (404, "/organization_id")


async def test_what_belongs_to_the_platform_names_neither(library: Library) -> None:
    admin, place = library.api.admin, {"organization_id": library.home.organization}
    assert fault(await create(admin, RULES, "r1", **place)) == (422, "/organization_id")
    assert fault(await create(admin, RULES, "r2", project_id=library.home.project)) == (422, "/project_id")
    reply = await create(admin, RULES, "r3")
    assert (reply.status, reply.json["organization_id"], reply.json["project_id"]) == (201, None, None)
    assert (await create(library.home.admin, RULES, "r4")).status == 403


@pytest.mark.parametrize("scope", ["project", "organization"])
async def test_a_scope_that_is_closed_or_gone_takes_nothing_new(library: Library, scope: str) -> None:
    api = library.api
    home = await tenant(api, f"closed{scope}")
    stored = await made(api.admin.post(BOOKS, {"name": "kept", "project_id": home.project, "spec": {}}))
    path, close = (
        (f"admin/projects/{home.project}", "archive")
        if scope == "project"
        else (f"admin/organizations/{home.organization}", "suspend")
    )
    await made(api.admin.post(f"{path}:{close}"))
    place = {"project_id": home.project} if scope == "project" else {"organization_id": home.organization}
    target = BOOKS if scope == "project" else STAMPS
    assert (await create(api.admin, target, "closed", **place)).status == 409
    assert (await api.admin.get(f"{BOOKS}/{stored['id']}")).status == 200, "what is there can be read"


async def test_the_right_to_create_is_one_of_the_scope(library: Library) -> None:
    home = library.home
    extra = (
        await made(
            library.api.admin.post(
                "admin/projects",
                {"name": "place_more", "organization_id": home.organization, "spec": {"title": "More"}},
            )
        )
    )["id"]
    ada = await reader(library.api, home, "place-ada", "library.book.create", "admin.project.get")
    id = (await library.api.admin.get("admin/users/place-ada")).json["id"]
    body = {"principal_id": id, "permission": "admin.project.get", "securable_id": extra}
    await made(library.api.admin.post("admin/grants", body))
    assert (await create(ada, BOOKS, "mine", project_id=home.project)).status == 201
    assert (await create(ada, BOOKS, "mine", project_id=extra)).status == 403
    blind = await reader(library.api, home, "place-blind", "library.book.create")
    assert (await create(blind, BOOKS, "of-dan", project_id=home.project)).status == 404


async def test_a_name_of_the_whole_platform_tells_nothing_of_who_has_it(library: Library) -> None:
    """Who may not read all stamps learns from a taken name no more than from one that is reserved."""
    other = await tenant(library.api, "placenames")
    await made(create_as(library.home.admin, "taken"))
    hidden = await create_as(other.admin, "taken")
    assert (hidden.status, hidden.json["detail"]) == (
        409,
        "The name 'taken' cannot be used here: it is taken or reserved. Choose another name.",
    )
    reported = await create_as(library.api.admin, "taken")
    assert (reported.status, reported.json["detail"].partition(".")[0]) == (409, "Another stamp has the name 'taken'")


async def create_as(caller: Any, name: str) -> Reply:
    return await create(caller, STAMPS, name)
