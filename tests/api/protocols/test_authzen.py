"""AuthZEN Authorization API 1.0: every endpoint, its shortcuts and its refusals, against what the API then does."""

from __future__ import annotations

from typing import Any

from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller

PATH = "/access/v1"
READ = {"name": "get"}


async def ask(caller: Caller, endpoint: str, **body: Any) -> dict[str, Any]:
    return await made(caller.post(f"{PATH}/{endpoint}", body))


def person(name: str) -> dict[str, Any]:
    return {"type": "user", "id": name, "properties": {"email": f"{name}@example.org"}}


def resource_of(id: str) -> dict[str, Any]:
    return {"type": "admin.project", "id": id}


async def project(api: Api, name: str) -> str:
    return str((await made(api.admin.post("admin/projects", {"name": name, "spec": {"title": name}})))["id"])


async def test_an_evaluation_is_what_then_happens(api: Api) -> None:
    ada, sales = await user(api, "ada"), await project(api, "sales")
    question = {"subject": person("ada"), "action": READ, "resource": resource_of(sales), "context": {"time": "now"}}
    assert (await ask(api.admin, "evaluation", **question))["decision"] is False
    given = await grant(api, ada, "rol_viewer", sales)
    answer = await ask(api.admin, "evaluation", **question)
    assert answer == {"decision": True, "context": {"reason": "GRANTED", "grant_id": given}}
    assert (await api.caller("ada").get(f"admin/projects/{sales}")).status == 200
    by_id = question | {"subject": {"type": "user", "id": ada}, "action": {"name": "admin.project.get"}}
    assert (await ask(api.admin, "evaluation", **by_id))["decision"] is True
    for change in (
        {"action": {"name": "delete"}},
        {"action": {"name": "no_such_verb"}},
        {"resource": resource_of("prj_nothing")},
        {"resource": {"type": "admin.user", "id": sales}},
        {"subject": person("absent")},
        {"subject": {"type": "martian", "id": ada}},
    ):
        assert (await ask(api.admin, "evaluation", **question | change))["decision"] is False, change
    reply = await api.admin.post(f"{PATH}/evaluation", question, headers={"x-request-id": "bfe9eb29-ab87-4ca3"})
    assert reply.headers["x-request-id"] == "bfe9eb29-ab87-4ca3"


async def test_what_is_malformed_or_not_allowed_is_refused(api: Api) -> None:
    await user(api, "ada")
    sales = await project(api, "sales")
    whole: dict[str, Any] = {"subject": person("editor"), "action": READ, "resource": resource_of(sales)}
    for missing in whole:
        body = {name: part for name, part in whole.items() if name != missing}
        assert (await api.admin.post(f"{PATH}/evaluation", body)).status == 400
    assert (await api.admin.post(f"{PATH}/evaluation", whole | {"subject": {"type": "user"}})).status == 400
    assert (await api.admin.post(f"{PATH}/evaluation", whole | {"action": {"name": 3}})).status == 400
    assert (await api.anonymous.post(f"{PATH}/evaluation", whole)).status == 401
    assert (await api.admin.get(f"{PATH}/evaluation")).status == 405
    assert (await api.admin.post(f"{PATH}/nothing", whole)).status == 404
    ada = api.caller("ada")
    assert (await ada.post(f"{PATH}/evaluation", whole)).status == 403
    assert (await ada.post(f"{PATH}/search/resource", whole | {"resource": {"type": "admin.project"}})).status == 403
    assert (await ada.post(f"{PATH}/search/subject", whole | {"subject": {"type": "user"}})).status == 403
    assert (await ask(ada, "evaluation", **whole | {"subject": person("ada")}))["decision"] is False


async def test_evaluations_take_defaults_and_stop_where_they_are_told(api: Api) -> None:
    ada = await user(api, "ada")
    ids = [await project(api, name) for name in ("a", "b", "c")]
    await grant(api, ada, "rol_viewer", ids[1])
    common = {"subject": person("ada"), "action": READ}
    parts = [{"resource": resource_of(id)} for id in ids]

    async def answers(semantic: str) -> list[bool]:
        body = {**common, "evaluations": parts, "options": {"evaluations_semantic": semantic}}
        return [one["decision"] for one in (await ask(api.admin, "evaluations", **body))["evaluations"]]

    assert await answers("execute_all") == [False, True, False]
    assert await answers("deny_on_first_deny") == [False]
    assert await answers("permit_on_first_permit") == [False, True]
    body = {
        **common,
        "evaluations": [{"resource": resource_of(ids[1]), "action": {"name": "delete"}}, {"action": READ}],
    }
    first, second = (await ask(api.admin, "evaluations", **body))["evaluations"]
    assert first["decision"] is False
    assert (second["decision"], second["context"]["error"]["status"]) == (False, 400)
    single = await ask(api.admin, "evaluations", **common, resource=resource_of(ids[1]))
    assert single["decision"] is True
    assert (await api.admin.post(f"{PATH}/evaluations", {**common, "evaluations": parts[:1] * 1001})).status == 400


@on_both
async def test_searches_find_what_evaluations_allow(api: Api) -> None:
    ada, ben = await user(api, "ada"), await user(api, "ben")
    ids = [await project(api, name) for name in ("a", "b", "c")]
    for id in ids[:2]:
        await grant(api, ada, "rol_viewer", id)
    await grant(api, ben, "admin.project.get", ids[0])

    async def pages(endpoint: str, key: str, **body: Any) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await ask(api.admin, f"search/{endpoint}", **body, page={"limit": 2, "token": token})
            assert len(page["results"]) <= 2
            found += [one[key] for one in page["results"]]
            token = page["page"]["next_token"]
            if not token:
                return found

    resources = await pages("resource", "id", subject=person("ada"), action=READ, resource={"type": "admin.project"})
    assert resources == sorted(ids[:2])
    subjects = await pages("subject", "id", subject={"type": "user"}, action=READ, resource=resource_of(ids[0]))
    names = {row["id"]: row["name"] for row in (await api.admin.get("admin/users")).json["items"]}
    assert {names[id] for id in subjects} == {"ada", "ben", "admin", "editor", "viewer"}
    assert (
        await pages("subject", "id", subject={"type": "service_account"}, action=READ, resource=resource_of(ids[0]))
        == []
    )
    actions = await pages("action", "name", subject=person("ada"), resource=resource_of(ids[0]))
    assert {"get", "list"} <= set(actions)
    assert "delete" not in actions
    for action in (*actions, "delete", "update"):
        question = {"subject": person("ada"), "action": {"name": action}, "resource": resource_of(ids[0])}
        assert (await ask(api.admin, "evaluation", **question))["decision"] is (action in actions)
    assert await pages("action", "name", subject=person("ada"), resource=resource_of("prj_nothing")) == []
    assert await pages("resource", "id", subject=person("ada"), action=READ, resource={"type": "todo"}) == []


async def test_other_tenants_do_not_exist(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    question = {"subject": person("other-admin"), "action": READ, "resource": resource_of(other.project)}
    assert (await ask(one.admin, "evaluation", **question)) == {"decision": False, "context": {"reason": "UNKNOWN"}}
    found = await ask(one.admin, "search/subject", **question | {"subject": {"type": "user"}})
    assert found == {"results": [], "page": {"next_token": ""}}
    found = await ask(one.admin, "search/resource", **question | {"resource": {"type": "admin.project"}})
    assert found["results"] == []


async def test_the_configuration_names_every_endpoint(api: Api) -> None:
    found = (await api.anonymous.get("/.well-known/authzen-configuration")).json
    base = found.pop("policy_decision_point")
    assert base == "http://headwater.test"
    assert len(found) == 5
    for url in found.values():
        reply = await api.anonymous.post(url.removeprefix(base), {})
        assert reply.status == 401, url
