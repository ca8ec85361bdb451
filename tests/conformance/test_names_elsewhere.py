"""A caller who names a resource learns nothing of the names in other organizations.

The kind: a name or an address must be unique beyond what the caller may see, so that a refusal discloses that another
tenant has it. One pass over the registry: to every operation that takes a name or an address, the admin of one
organization sends one that only another organization has, and one that is free. Both answers have the same status
and words.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from api.kernel.documents.openapi import document
from api.kernel.kinds.endpoint import Endpoint, Shape
from api.kernel.kinds.resource import Level
from api.kernel.kinds.stored_kind import Method
from api.main import SERVICES
from tests.api.admin.tenants import Tenant, made, tenant, user
from tests.api_process import PASSWORD, Api, Caller, Reply, running
from tests.conformance.examples import DRAFTS
from tests.conformance.hostile import Path, leaves, placed
from tests.conformance.operations import ENDPOINTS, STORED, collection, minimal, url
from tests.orchestration import FakeOrchestrator

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAKEN, NOWHERE = "takenname", "nowherenm"
"""A name that things of every kind in the other organization have, and one that nothing has."""

UNIQUE_BEYOND = {
    "admin_create_project": "its name is the first part of every table and asset",
    "admin_batch_projects": "it creates projects",
    "admin_create_identity_provider": "its name is a public address, /login/oidc/{name}, which answers all callers",
    "admin_update_identity_provider": "its name is a public address",
    "admin_batch_identity_providers": "it creates identity providers",
}
"""Operations whose refusal tells that a name is of no use, each with the reason. It tells nothing of who has it."""

SCHEMAS = {service.name: document(service) for service in SERVICES}


def value(name: str, path: Path) -> str:
    """The name in the form of a field."""
    words = [str(step) for step in path if isinstance(step, str)]
    if {"email", "emails"} & set(words):
        return f"{name}@example.org"
    return f"https://{name}.example.org/" if words[-1] in ("url", "issuer") else name


def holds_name(path: Path) -> bool:
    """Whether a field holds a name or an address that another tenant may have."""
    return bool({"name", "email", "emails", "external_id", "url", "issuer"} & {str(step) for step in path})


def bodies(endpoint: Endpoint, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Bodies that fit the operation, each with the name in one of its fields, and which."""
    made_of = SCHEMAS[endpoint.service]
    (media,) = made_of["paths"][endpoint.path][endpoint.method.lower()]["requestBody"]["content"].values()
    draft = DRAFTS.get(endpoint.kind.full_name)
    right = {"name": "another", "spec": draft[0]} if draft and endpoint.verb == "create" else dict(minimal(endpoint))
    for path, _ in leaves(media["schema"], made_of):
        if path and holds_name(path):
            yield "/".join(map(str, path)), placed(right, path, value(name, path))


@dataclass
class Two:
    """Two organizations: the caller's, and one with something of every kind that is called `TAKEN`."""

    api: Api
    own: Tenant
    other: Tenant
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def place(self, level: Level, tenant: Tenant) -> dict[str, str]:
        return {
            Level.PLATFORM: {},
            Level.ORGANIZATION: {"organization_id": tenant.organization},
            Level.PROJECT: {"project_id": tenant.project},
        }[level]

    async def item(self, kind: str) -> str:
        """A new resource of the caller."""
        stored = next((one for one in STORED if one.full_name == kind), None)
        if stored is None or kind in ("admin.organization", "admin.project"):
            return self.own.organization if kind == "admin.organization" else self.own.project
        name = f"own{next(self.numbers)}"
        body = {"name": name, "spec": DRAFTS[kind][0], **self.place(stored.level, self.own)}
        return str((await made(self.api.admin.post(collection(stored), body)))["id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    async with running(tmp_path_factory.mktemp("home"), FakeOrchestrator(), HEADWATER_RATE_LIMIT="") as api:
        found = Two(api, await tenant(api, "mine"), await tenant(api, "theirs"))
        for kind in STORED:
            spec = json.loads(json.dumps(DRAFTS[kind.full_name][0]))
            for name in ("emails", "external_id", "url", "issuer"):
                if name in kind.model.spec_type().model_fields:
                    known = value(TAKEN, (name,))
                    spec[name] = [known] if name == "emails" else known
            body = {"name": TAKEN, "spec": spec, **found.place(kind.level, found.other)}
            await made(api.admin.post(collection(kind), body))
        invitation = {"email": f"{TAKEN}@example.org", "organization_id": found.other.organization}
        await made(api.admin.post("admin/invitations", invitation))
        yield found


def words(reply: Reply, name: str) -> tuple[int, str]:
    """The status, and of a refusal the words without what is always its own."""
    if reply.status < 300:
        return reply.status, ""
    text = json.dumps({key: one for key, one in reply.json.items() if key not in ("request_id", "instance")})
    text = text.replace(name, "NAME").replace(name.replace("_", "-"), "NAME")
    return reply.status, re.sub(r"\b[a-z]{3}_[0-9a-z]{20,}\b|\bown\d+\b", "ID", text)


@pytest.mark.parametrize(
    "kind", [kind for kind in STORED if Method.BATCH in kind.methods], ids=lambda kind: kind.full_name
)
async def test_a_batch_and_a_restore_disclose_no_name_of_another_organization(two: Two, kind: Any) -> None:
    """Runs before the other tests, which use the names in the organization of the caller."""
    found, restored = {}, []
    for name in (TAKEN, NOWHERE):
        body = {"name": name, "spec": DRAFTS[kind.full_name][0], **two.place(kind.level, two.own)}
        reply = await two.own.admin.post(f"{collection(kind)}:batch", {"items": [{"method": "CREATE", "body": body}]})
        found[name] = words(reply, name)
        if reply.status < 300 and (one := reply.json["items"][0])["status"] < 300:
            path = f"/api/v1/{collection(kind)}/{one['id']}"
            assert (await two.own.admin("DELETE", path)).status == 204
            assert (await two.own.admin.post(f"{path.removeprefix('/api/v1/')}:restore", {})).status == 200
            assert (await two.own.admin("DELETE", path)).status == 204
            restored.append(name)
    assert NOWHERE in restored or found[NOWHERE][0] == 403, found
    if f"{kind.service}_batch_{kind.plural_name}" not in UNIQUE_BEYOND:
        assert found[TAKEN] == found[NOWHERE]


NAMING = [one for one in ENDPOINTS if one.changes and one.request is not None and list(bodies(one, TAKEN))]


@pytest.mark.parametrize("endpoint", NAMING, ids=str)
async def test_a_name_of_another_organization_is_answered_as_one_of_nobody(two: Two, endpoint: Endpoint) -> None:
    caller = two.api.anonymous if endpoint.public else two.own.admin
    for (where, taken), (_, free) in zip(bodies(endpoint, TAKEN), bodies(endpoint, NOWHERE), strict=True):
        found = []
        for name, body in ((TAKEN, taken), (NOWHERE, free)):
            sent = await completed(two, endpoint, body)
            id = await two.item(endpoint.kind.full_name) if endpoint.shape.on_item else None
            found.append(words(await caller(endpoint.method, url(endpoint, id), json=sent), name))
        if endpoint.operation_id in UNIQUE_BEYOND and found[0] != found[1]:
            status, text = found[0]
            assert status == 409, text
            assert "it is taken or reserved" in text, "one text for every reason"
            continue
        assert found[0] == found[1], where


async def completed(two: Two, endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any]:
    """The body with the caller's place, or with the proof that a public operation asks for."""
    kind = next((one for one in STORED if one.full_name == endpoint.kind.full_name), None)
    if kind is not None and endpoint.shape is Shape.CREATE:
        # Another field holds the tested value, and the name is new each time.
        name = f"own{next(two.numbers)}" if body["name"] == "another" else body["name"]
        return body | {"name": name} | two.place(kind.level, two.own)
    if endpoint.operation_id == "admin_accept_invitation":
        invited = {"email": "guest@example.org", "organization_id": two.own.organization}
        token = (await made(two.own.admin.post("admin/invitations", invited)))["token"]
        return body | {"token": token, "password": PASSWORD, "name": body.get("name", "guest")}
    proofs = {
        "admin_login": {"password": "wrong"},
        "admin_change_password": {"password": "x", "new_password": PASSWORD},
    }
    return body | proofs.get(endpoint.operation_id, {})


SCIM_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
SCIM_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


@pytest.mark.parametrize(
    ("plural", "schema", "field"), [("Users", SCIM_USER, "userName"), ("Groups", SCIM_GROUP, "displayName")]
)
async def test_so_it_is_for_a_directory(two: Two, plural: str, schema: str, field: str) -> None:
    found: dict[str, list[int]] = {TAKEN: [], NOWHERE: []}
    for name, seen in found.items():
        body = {"schemas": [schema], field: f"scim-{name}", "externalId": name}
        await user(two.api, f"scim-{TAKEN}", two.other.organization) if name == TAKEN and plural == "Users" else None
        made_one = await raw(two.own.admin, "POST", f"/scim/v2/{plural}", body)
        seen.append(made_one.status_code)
        other = await raw(two.own.admin, "POST", f"/scim/v2/{plural}", body | {field: f"scim-other-{name}"})
        path = f"/scim/v2/{plural}/{other.json()['id']}"
        seen.append(
            (await raw(two.own.admin, "DELETE", f"/scim/v2/{plural}/{made_one.json()['id']}", None)).status_code
        )
        seen.append((await raw(two.own.admin, "PUT", path, body)).status_code)
    assert found[TAKEN] == found[NOWHERE]
    assert all(status < 300 for status in found[TAKEN])


async def raw(caller: Caller, method: str, path: str, body: Any) -> Any:
    options = (
        {} if body is None else {"content": json.dumps(body), "headers": {"content-type": "application/scim+json"}}
    )
    return await caller.http.request(method, path, **options)


async def test_so_it_is_for_a_definition(two: Two) -> None:
    """The id of an asset in another organization's project, and one in a project that there is not."""
    project = (await made(two.api.admin.get(f"admin/projects/{two.other.project}")))["name"]
    theirs = f"{project}.gold.{TAKEN}"
    draft = {"component": "SqlTransformComponent", "attributes": {"sql": "SELECT 1 AS one"}}
    found = []
    for id, name in ((theirs, project), (f"nowhere_data.gold.{TAKEN}", "nowhere_data")):
        for method, path, body in (
            ("POST", "ai-catalog/definitions", draft | {"attributes": draft["attributes"] | {"asset": id}}),
            ("PATCH", f"ai-catalog/definitions/{id}", draft),
        ):
            found.append(words(await two.own.admin(method, path, json=body), name))
    assert found[:2] == found[2:]


async def test_the_list_of_exceptions_is_of_operations_that_take_names() -> None:
    assert set(UNIQUE_BEYOND) <= {str(one) for one in ENDPOINTS if one.changes}
    assert len(NAMING) > 20
