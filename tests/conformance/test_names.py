"""Kind of fault: a path takes names, and a field of a body, filter or batch that refers to the same things does not.

Every field that refers to something says so (`api.kernel.references`), and is written here by id and by name: both have
one effect. A name of what the caller may not see is as unknown as one that nothing has.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from api.kernel.kinds.endpoint import Endpoint, Shape
from api.kernel.kinds.resource import Level
from api.kernel.kinds.resource_kind import ResourceKind
from tests.api.admin.tenants import made, user
from tests.api_process import Reply, running
from tests.conformance.examples import BODIES_WITH_REFERENCES, DRAFTS, SPECS_WITH_REFERENCES, name_of
from tests.conformance.named_home import REFERRING, Home, settled
from tests.conformance.operations import ENDPOINTS, STORED, collection, url
from tests.orchestration import FakeOrchestrator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    async with running(tmp_path_factory.mktemp("home"), FakeOrchestrator()) as api:
        yield await settled(api)


def plain(reply: Reply) -> Any:
    """An answer without what is new each time."""
    text = re.sub(r"[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}|\d{4}-\d\d-\d\dT[^\"]+", "NEW", reply.response.text)
    text = re.sub(r'"(etag|token|secret|prefix|request_id|version)":"?[^,}]*', "", text)
    return reply.status, text


def stored_request(home: Home, reply: Reply) -> Any:
    """As `plain`, but ids of the tenant's things stay: an effect on the right ones counts."""
    text = reply.response.text
    for kind, id in home.ids.items():
        text = text.replace(id, f"<{kind}>")
    reply.response._content = text.encode()
    return plain(reply)


async def sent(home: Home, endpoint: Endpoint, body: Any, *, by_name: bool) -> Reply:
    params = {"validate_only": "true"} if endpoint.changes else {}
    id = home.ids.get(endpoint.kind.full_name)
    return await home.own.admin(
        endpoint.method, url(endpoint, id), json=home.filled(body, by_name=by_name), params=params
    )


LATER = {
    "admin_move_project": (409,),
    "connections_create_health_monitor": (409,),
    "connections_test_draft_connections": (409,),
    **dict.fromkeys(("ai_catalog_test_policy", "ai_catalog_create_contract", "ai_catalog_consent_contract"), (404,)),
}
"""What is answered after the names are resolved: a project is where it is, a secret has no value, a connection has its
monitor, and there is no table and no contract."""


@pytest.mark.parametrize("endpoint", [one for one in REFERRING if one.operation_id in BODIES_WITH_REFERENCES], ids=str)
async def test_a_body_by_name_does_what_it_does_by_id(home: Home, endpoint: Endpoint) -> None:
    by_id, by_name = [
        await sent(home, endpoint, BODIES_WITH_REFERENCES[endpoint.operation_id], by_name=named)
        for named in (False, True)
    ]
    assert by_id.status in LATER.get(endpoint.operation_id, (200, 201)), by_id.response.text
    assert stored_request(home, by_name) == stored_request(home, by_id)


def leaves(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(body, str) and re.fullmatch(r"\[[a-z_.]+\]", body):
        yield path
    for key, value in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():
        yield from leaves(value, (*path, key))


def put(body: Any, path: tuple[Any, ...], value: str) -> Any:
    copy = json.loads(json.dumps(body))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


HIDDEN = [
    (endpoint, path)
    for endpoint in REFERRING
    if "move" not in endpoint.operation_id
    for path in leaves(BODIES_WITH_REFERENCES.get(endpoint.operation_id, {}))
]


@pytest.mark.parametrize(("endpoint", "path"), HIDDEN, ids=lambda value: str(value) if value else "")
async def test_a_name_of_another_tenant_is_as_unknown_as_one_that_nothing_has(
    home: Home, endpoint: Endpoint, path: tuple[Any, ...]
) -> None:
    template = BODIES_WITH_REFERENCES[endpoint.operation_id]
    answers = []
    for name in ("other-ada", "nosuch-ada"):
        reply = await sent(home, endpoint, put(template, path, name), by_name=False)
        answers.append((reply.status, stored_request(home, reply)[1].replace(name, "NAME")))
    assert answers[0] == answers[1]
    assert answers[0][0] in (200, 400, 404, 409, 422)
    if "remove" in endpoint.operation_id:
        assert answers[0][0] == 422, "a typing error is not a member that was removed"
    assert answers[0][0] != 200 or '"UNKNOWN"' in answers[0][1] or '"allowed":true' not in answers[0][1]


@pytest.mark.parametrize(
    "kind", [kind for kind in STORED if kind.full_name in SPECS_WITH_REFERENCES], ids=lambda kind: kind.full_name
)
async def test_a_spec_by_name_is_stored_by_id(home: Home, kind: ResourceKind[Any]) -> None:
    path, spec = collection(kind), DRAFTS[kind.full_name][0] | SPECS_WITH_REFERENCES[kind.full_name]
    expected = home.filled(spec, by_name=False)
    place = {"project_id": "one_data"} if kind.level is Level.PROJECT else {"organization_id": "one"}
    draft = {"name": "written", **place, "spec": home.filled(spec, by_name=True)}
    tried = {"params": {"validate_only": "true"}}
    created = await home.own.admin.post(path, draft, **tried)
    assert created.status == 201, created.response.text
    assert created.json["spec"].items() >= expected.items()
    change = {"spec": home.filled(SPECS_WITH_REFERENCES[kind.full_name], by_name=True)}
    changed = await home.own.admin("PATCH", f"{path}/{home.ids[kind.full_name]}", json=change, **tried)
    assert changed.status == 200, changed.response.text
    assert changed.json["spec"].items() >= home.filled(SPECS_WITH_REFERENCES[kind.full_name], by_name=False).items()
    items = [
        {"method": "CREATE", "body": draft},
        {"method": "UPDATE", "id": name_of(kind.full_name), "body": change | {"owner": "one-ada"}},
    ]
    batch = await home.own.admin.post(f"{path}:batch", {"items": items}, **tried)
    assert batch.status == 200, batch.response.text
    assert batch.json["items"][1]["id"] == home.ids[kind.full_name]


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.full_name)
async def test_a_path_and_an_owner_are_names_too(home: Home, kind: ResourceKind[Any]) -> None:
    path, id, name = collection(kind), home.ids[kind.full_name], name_of(kind.full_name)
    admin, tried = home.own.admin, {"params": {"validate_only": "true"}}
    assert (await made(admin.get(f"{path}/{name}")))["id"] == id
    assert stored_request(home, await admin.get(f"{path}/{name}/revisions")) == stored_request(
        home, await admin.get(f"{path}/{id}/revisions")
    )
    for owner in ("one-ada", "loader", "readers"):
        owned = await admin("PATCH", f"{path}/{name}", json={"owner": owner}, **tried)
        assert owned.status == 200, owned.response.text
        assert owned.json["id"] == id
        assert owned.json["owner"] in home.ids.values()
    unknown = [await admin.get(f"{path}/{text}") for text in ("other-absent", "nosuch-absent")]
    assert [reply.status for reply in unknown] == [404, 404]


FILTERED = [
    (endpoint, name)
    for endpoint in ENDPOINTS
    if endpoint.query is not None and "filter" in endpoint.query.model_fields and endpoint.shape is Shape.LIST
    for name in endpoint.kind.filter_by
    if name in endpoint.kind.filter_references and name != "project"
]


@pytest.mark.parametrize(("endpoint", "name"), FILTERED, ids=str)
async def test_a_filter_by_name_finds_what_it_finds_by_id(home: Home, endpoint: Endpoint, name: str) -> None:
    kinds = endpoint.kind.filter_references[name] or ("admin.project",)
    for kind in kinds:
        pages = []
        texts = [
            text
            for value in (home.ids[kind], name_of(kind))
            for text in (f'{name} == "{value}"', f"'{value}' == ({name})", f'{name} in ["absent", "{value}"]')
        ]
        pages = [await home.own.admin.get(url(endpoint), params={"filter": text, "page_size": "5"}) for text in texts]
        assert {page.status for page in pages} <= {200, 403}, pages[0].response.text
        assert len({page.response.text for page in pages if page.status == 200}) <= 1
    if endpoint.kind.name == "grant" and name != "role_id":
        assert pages[-1].json["items"], "there are some of them"


async def test_what_is_kept_beside_the_metadata_takes_the_id_of_a_project_too(home: Home) -> None:
    pages = [
        await home.api.admin.get("ai-catalog/assets", params={"filter": f'project == "{text}"'})
        for text in (home.ids["admin.project"], "one_data")
    ]
    assert [page.status for page in pages] == [200, 200]
    assert pages[0].json == pages[1].json


async def test_several_things_of_a_name_are_told_and_none_is_taken(home: Home) -> None:
    """A caller who sees both tenants must say which one they mean; one who sees one does not learn of the other."""
    body = {"principal_id": "readers", "role_id": "rol_viewer", "securable_id": home.own.project}
    refused = await home.api.admin.post("admin/grants", body)
    assert (refused.status, refused.reason) == (409, "AMBIGUOUS_NAME")
    assert home.ids["admin.group"] in refused.json["detail"]
    assert refused.json["errors"] == [{"pointer": "/principal_id", "detail": "is the name of several things"}]
    assert len(refused.json["metadata"]["candidates"]) == 2
    assert (await home.api.admin.get("admin/groups/readers")).reason == "AMBIGUOUS_NAME"
    assert (await home.api.admin.get("admin/grants", params={"filter": 'principal_id == "readers"'})).status == 409
    assert (await home.own.admin.post("admin/grants", body, params={"validate_only": "true"})).status == 201


async def test_an_id_wins_over_a_name_and_no_name_has_the_form_of_one(home: Home) -> None:
    admin = home.api.admin
    for name in (home.ids["admin.user"], "grp_06e1xq0000exampe000000000z"):
        refused = await admin.post("admin/users", {"name": name, "spec": {}})
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/name")
    await made(admin.post("admin/projects", {"name": "org_default", "spec": {"title": "Looks like one"}}))
    await user(home.api, "rol_admin")
    given = await made(
        admin.post(
            "admin/grants",
            {"principal_id": "one-ada", "role_id": "rol_admin", "securable_id": "org_default"},
            params={"validate_only": "true"},
        )
    )
    assert (given["role_id"], given["securable_id"]) == ("rol_admin", "org_default")
    assert given["securable_kind"] == "admin.organization"


async def test_a_condition_is_kept_by_id(home: Home) -> None:
    body = BODIES_WITH_REFERENCES["admin_create_grant"]
    given = await sent(
        home, next(one for one in ENDPOINTS if one.operation_id == "admin_create_grant"), body, by_name=True
    )
    user, group = home.ids["admin.user"], home.ids["admin.group"]
    assert given.json["condition"] == f'owner == "{user}" || owner in ["{group}"]'


async def test_authzen_takes_names(home: Home) -> None:
    answers = []
    for by_name in (False, True):
        subject = {"type": "group", "id": "[admin.group]"}
        body = {
            "subject": subject,
            "action": {"name": "get"},
            "resource": {"type": "admin.project", "id": "[admin.project]"},
        }
        asked = home.filled(body, by_name=by_name)
        answers.append((await home.own.admin.post("/access/v1/evaluation", asked)).json)
    assert answers[0] == answers[1]
    assert answers[0]["decision"] is True
