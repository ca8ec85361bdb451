"""What is said of rights is what requests find, and names no principal that the caller may not know of.

Two kinds: an answer about a right that differs from what the request itself is answered, and an answer that holds the
id of a principal or grant of another tenant.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller

VERBS = ("create", "get", "update", "delete", "restore", "history")
RIGHTS = [
    *("rol_viewer", "rol_editor", "rol_admin", "admin.*", "*.*.get", "admin.group.*", "admin.group.get"),
    *("admin.group.create", "admin.group.update", "admin.group.delete", "admin.group.restore", "admin.group.history"),
    *("admin.organization.get", "admin.service_account.*", "admin.service_account.create", "admin.project.get"),
]
CONDITIONS = ["", "", 'labels.stage == "test"', 'labels.stage != "test"', 'kind == "admin.group"', 'name == "absent"']


class World:
    """A tenant with resources in several states, and a user with random rights there."""

    def __init__(self, api: Api, home: Tenant, chosen: random.Random) -> None:
        self.api = api
        self.home = home
        self.random = chosen
        self.resources: list[tuple[str, str, str]] = []
        """Plural, kind and id."""

    async def build(self) -> None:
        org, project = self.home.organization, self.home.project
        places = {"groups": {"organization_id": org}, "service-accounts": {"project_id": project}}
        for plural, kind in (("groups", "admin.group"), ("service-accounts", "admin.service_account")):
            for name, stage in (("tested", "test"), ("plain", "")):
                spec = {"title": name} if plural == "groups" else {}
                body = {"name": name, "spec": spec, "labels": {"stage": stage} if stage else {}, **places[plural]}
                self.resources.append((plural, kind, (await made(self.api.admin.post(f"admin/{plural}", body)))["id"]))
        for id, plural, stage in ((org, "organizations", "test"), (project, "projects", "test")):
            await made(self.api.admin("PATCH", f"admin/{plural}/{id}", json={"labels": {"stage": stage}}))

    async def somebody(self, name: str) -> tuple[str, Caller]:
        id = await user(self.api, name, self.home.organization)
        places = ["platform", self.home.organization, self.home.project, *(element[2] for element in self.resources)]
        for _ in range(self.random.randint(1, 4)):
            effect = self.random.choice(["ALLOW", "ALLOW", "ALLOW", "DENY"])
            on, condition = self.random.choice(places), self.random.choice(CONDITIONS)
            await grant(self.api, id, self.random.choice(RIGHTS), on, effect=effect, condition=condition)
        return id, self.api.caller(name)

    async def really(self, caller: Caller, verb: str, plural: str, id: str) -> bool:
        """Whether the request itself is let through. Nothing of it is kept."""
        one, tried = f"admin/{plural}/{id}", {"params": {"validate_only": "true"}}
        if verb == "create":
            place = {"organization_id": self.home.organization} if plural == "groups" else {"project_id": id}
            body = {"name": "fresh", "spec": {"title": "x"} if plural == "groups" else {}, **place}
            reply = await caller.post(f"admin/{plural}", body, **tried)
        elif verb == "update":
            reply = await caller("PATCH", one, json={"labels": {"x": "y"}}, **tried)
        elif verb == "delete":
            reply = await caller("DELETE", one, **tried)
        elif verb == "restore":
            reply = await caller.post(f"{one}:restore", {}, **tried)
        else:
            reply = await caller.get(one if verb == "get" else f"{one}/revisions")
        assert reply.status in (200, 201, 204, 403, 404), reply.response.text
        return reply.status < 300


@pytest.mark.parametrize(
    ("database_url", "seed"),
    [
        *(("sqlite", seed) for seed in (0, 1)),
        *(pytest.param("postgresql", seed, marks=pytest.mark.slow) for seed in (2, 3)),
    ],
    indirect=["database_url"],
)
async def test_a_check_says_what_the_request_does(api: Api, seed: int) -> None:
    """Random grants, conditions and denials, every standard verb, on containers and on things, one of them deleted."""
    world = World(api, await tenant(api, "one"), random.Random(seed))
    await world.build()
    people = [await world.somebody(f"person{n}") for n in range(4)]
    # Whatever chance gives them, one may do nearly everything, and one only what a condition lets through.
    await grant(api, people[0][0], "rol_admin", world.home.organization)
    for right in ("admin.group.*", "admin.service_account.*", "*.*.get"):
        await grant(api, people[1][0], right, world.home.organization, condition='labels.stage == "test"')
    gone = world.resources[1]
    assert (await api.admin("DELETE", f"admin/{gone[0]}/{gone[2]}")).status == 204
    org, project = world.home.organization, world.home.project
    answers: set[bool] = set()
    for id, caller in people:
        for plural, kind, element in world.resources:
            for verb in VERBS:
                where = (org if plural == "groups" else project) if verb == "create" else element
                if (verb == "restore") is not (element == gone[2]) and verb not in ("create", "history"):
                    continue  # what is not deleted is not restored, and the other way round
                really = await world.really(caller, verb, plural, project if verb == "create" else element)
                question = {"permission": f"{kind}.{verb}", "securable_id": where}
                own = (await made(caller.post("admin/decisions:check", question)))["allowed"]
                asked = (await made(api.admin.post("admin/decisions:check", question | {"principal_id": id})))[
                    "allowed"
                ]
                assert (own, asked) == (really, really), (question, verb, plural)
                answers.add(really)
                if element != gone[2] or verb == "create":
                    who = await made(api.admin.post("admin/decisions:list-subjects", question | {"page_size": 1000}))
                    assert (id in {item["id"] for item in who["items"]}) is really, question
                if verb not in ("create", "restore") and element != gone[2]:
                    wanted = {"permission": f"{kind}.{verb}", "kind": kind, "principal_id": id}
                    description = await made(
                        api.admin.post("admin/decisions:list-objects", wanted | {"page_size": 1000})
                    )
                    assert (element in {item["id"] for item in description["items"]}) is really, question
    assert answers == {True, False}


@on_both
async def test_no_answer_names_a_principal_or_grant_of_another_tenant(api: Api) -> None:
    """Every question, asked by the admin of a tenant on whose project others have rights from above."""
    one, other = await tenant(api, "one"), await tenant(api, "other")
    foreigner = await user(api, "foreigner", other.organization)
    band = (await made(api.admin.post("admin/groups", {"name": "band", "spec": {"title": "Band"}})))["id"]
    await made(api.admin.post(f"admin/groups/{band}:add-members", {"members": [foreigner, one.admin_id]}))
    local = await user(api, "local", one.organization)
    above = [await grant(api, who, "rol_editor", "platform") for who in (foreigner, band, local)]
    hidden = {foreigner, other.admin_id, band, *above} - {local}
    permission = "admin.project.get"
    place = {"securable_id": one.project}
    question = {"permission": permission, **place}
    requested = {"principal_id": local, "role_id": "rol_viewer", **place}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("decisions:check", question | {"principal_id": local}),
        ("decisions:check-batch", {"items": [question | {"principal_id": local}]}),
        ("decisions:explain", question | {"principal_id": local}),
        ("decisions:list-subjects", question),
        ("decisions:list-objects", {"permission": permission, "kind": "admin.project", "principal_id": local}),
        (
            "decisions:simulate",
            {"grant": [requested | {"effect": "DENY"}], "securables": [place], "questions": [question]},
        ),
        ("grants:effective", place),
    ]
    for verb, body in asked:
        reply = await one.admin.post(f"admin/{verb}", body)
        assert reply.status == 200, reply.response.text
        reported = {id for id in hidden if id in reply.response.text}
        assert not reported, (verb, reply.response.text)
    explained = (await one.admin.post("admin/decisions:explain", question | {"principal_id": local})).json
    assert (explained["hidden"], explained["decision"]["allowed"], explained["decision"]["grant_id"]) == (
        True,
        True,
        None,
    )
    effective = await one.admin.get(f"admin/users/{local}/effective-access")
    assert not {id for id in hidden if id in effective.response.text}

    search = {"action": {"name": "get"}, "resource": {"type": "admin.project", "id": one.project}}
    for path, body in (
        ("search/subject", search | {"subject": {"type": "user"}}),
        ("evaluation", search | {"subject": {"type": "user", "id": local}}),
    ):
        reply = await one.admin("POST", f"/access/v1/{path}", json=body)
        assert not {id for id in hidden if id in json.dumps(reply.json)}, path


async def test_pages_of_subjects_hold_as_many_as_are_asked_for(api: Api) -> None:
    """What is left out leaves no gaps, by whose size others could be counted."""
    one, other = await tenant(api, "one"), await tenant(api, "other")
    owned = [await user(api, f"mine{n}", one.organization) for n in range(4)]
    theirs = [await user(api, f"theirs{n}", other.organization) for n in range(4)]
    for id in [id for pair in zip(owned, theirs, strict=True) for id in pair]:
        await grant(api, id, "rol_viewer", "platform")
    seen: list[str] = []
    token = ""
    while True:
        body = {"permission": "admin.project.get", "securable_id": one.project, "page_size": 2, "page_token": token}
        page = await made(one.admin.post("admin/decisions:list-subjects", body))
        seen += [item["id"] for item in page["items"]]
        token = page["next_page_token"]
        if not token:
            break
        assert len(page["items"]) == 2
    assert seen == sorted([one.admin_id, *owned])
