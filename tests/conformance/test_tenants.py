"""Two organizations with the same names in both: whatever id of the other is put where, nothing is told or changed.

The admin of `one` may do everything in `one`. Each request puts ids of `other` into the path, the query or the body.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from api.kernel.kinds.endpoint import Answer, Endpoint, Shape
from api.kernel.kinds.resource import Level
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api_process import PASSWORD, Api, Caller, running
from tests.conformance.examples import DRAFTS
from tests.conformance.one_pass import in_one_pass
from tests.conformance.operations import GUARDED, STORED, add_rows, collection, minimal, url
from tests.orchestration import FakeOrchestrator, FakePublisher

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "of-the-other"
"""A word in every text of the other organization. No answer to the first may hold it."""


@dataclass
class Estate:
    """An organization and the id of one of its things of every kind."""

    tenant: Tenant
    ids: dict[str, str] = field(default_factory=dict)


@dataclass
class Two:
    """The organizations."""

    api: Api
    one: Estate
    other: Estate
    last_read: int = 0
    """Sequence of the last event that `changes` has read: the audit log is read once, however many cases ask."""

    done: list[dict[str, Any]] = field(default_factory=list)

    def placed(self, text: str, foreign: Estate | None = None) -> str:
        """The text with ids in the places of `{kind}`, by default foreign ones, and of `[kind]`."""
        for kind, id in (foreign or self.other).ids.items():
            text = text.replace(f"{{{kind}}}", id)
        for kind, id in self.one.ids.items():
            text = text.replace(f"[{kind}]", id)
        return text

    def changes(self) -> list[str]:
        """Every change that was made, in either organization, by its event."""
        for event in self.api.events(after=self.last_read):
            self.last_read = event["sequence"]
            if succeeded(event):
                self.done.append(event)
        return [f"{one['type']} {one['subject']} {one['id']}" for one in self.done]

    async def contents(self) -> list[str]:
        """Everything there is in the other organization, a line for each."""
        path = f"admin/organizations/{self.other.tenant.organization}/contents"
        return sorted((await self.api.admin.get(path)).response.text.splitlines())


def succeeded(event: dict[str, Any]) -> bool:
    return event["data"].get("outcome", "succeeded") == "succeeded"


async def estate(api: Api, name: str, word: str) -> Estate:
    """An organization with a thing of every kind, all called the same wherever a name may be there twice."""
    found = Estate(await tenant(api, name))
    own, ids = found.tenant, found.ids
    ids |= {"admin.organization": own.organization, "admin.project": own.project}
    for kind in STORED:
        if kind.full_name in ids:
            continue
        spec, _ = DRAFTS[kind.full_name]
        place = {"project_id": own.project} if kind.level is Level.PROJECT else {"organization_id": own.organization}
        called = name if kind.named is Level.PLATFORM else "same"
        body = {"name": called, "spec": spec, "labels": {"word": word}, **place}
        ids[kind.full_name] = (await made(api.admin.post(collection(kind), body)))["id"]
    await made(api.admin.post(f"admin/groups/{ids['admin.group']}:add-members", {"members": [ids["admin.user"]]}))
    ids["admin.grant"] = await grant(api, ids["admin.user"], "rol_viewer", own.project)
    key = {"label": word, "principal_id": ids["admin.service_account"]}
    ids["admin.api_key"] = (await made(own.admin.post("admin/api-keys", key)))["id"]
    invitation = {"email": f"{word}@example.org", "organization_id": own.organization}
    ids["admin.invitation"] = (await made(own.admin.post("admin/invitations", invitation)))["id"]
    await made(api.admin.post(f"admin/users/{own.admin_id}:set-password", {"password": PASSWORD}))
    own.admin = Caller(api.app, api.caller(f"{name}-admin").token)
    await made(api.anonymous.post("admin/sessions:login", {"name": f"{name}-admin", "password": PASSWORD}))
    ids["admin.session"] = (await made(own.admin.get("admin/sessions")))["items"][0]["id"]
    ids["admin.audit_event"] = (await made(own.admin.get("admin/audit-events")))["items"][0]["id"]
    await add_rows(api.admin, ids)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    orchestrator = FakeOrchestrator()
    publisher = FakePublisher(orchestrator)
    async with running(tmp_path_factory.mktemp("home"), orchestrator, publisher=publisher) as api:
        publisher.database = api.database
        one, other = await estate(api, "one", "of-the-first"), await estate(api, "other", SECRET)
        yield Two(api, one, other)


@pytest_asyncio.fixture(loop_scope="module")
async def untouched(two: Two) -> AsyncIterator[Two]:
    """The two, of whom the other has in the end what it had: asked once, since it holds a thing of every kind."""
    before = await two.contents()
    yield two
    assert await two.contents() == before, "one of the cases changed this without an event"


PLATFORM_WIDE = ("monitoring", "preferences", "settings", "signing_key")
"""Kinds whose resources belong to no other tenant: those of the platform, and what each user has for themselves."""

OWNED = [one for one in GUARDED if one.service == "admin" and one.shape.on_item and one.answer is not Answer.STREAM]
COLLECTIONS = [
    one for one in GUARDED if one.shape in (Shape.LIST, Shape.COLLECTION_READ) and one.answer is not Answer.STREAM
]


@in_one_pass("endpoint", OWNED)
async def test_an_id_in_the_path_is_as_unknown_as_one_that_nothing_has(untouched: Two, endpoint: Endpoint) -> None:
    two = untouched
    caller, before = two.one.tenant.admin, two.changes()
    theirs = two.other.ids.get(endpoint.kind.full_name)
    if theirs is None:
        assert endpoint.kind.name in PLATFORM_WIDE, f"the estate needs a thing of {endpoint.kind.full_name}"
        return
    nobody = f"{theirs[:-3]}zzz"
    options = {"json": minimal(endpoint)} if endpoint.request is not None else {}
    foreign, unknown = [await caller(endpoint.method, url(endpoint, id), **options) for id in (theirs, nobody)]
    assert (foreign.status, unknown.status) == (404, 404), foreign.response.text
    assert shape(foreign.json, theirs) == shape(unknown.json, nobody)
    assert set(foreign.headers) == set(unknown.headers)
    assert SECRET not in foreign.response.text
    assert two.changes() == before


def shape(problem: dict[str, Any], id: str) -> dict[str, Any]:
    """A problem without what is always its own."""
    text = json.dumps(problem | {"request_id": ""}).replace(id, "ID")
    return dict(json.loads(text))


@in_one_pass("endpoint", COLLECTIONS)
async def test_no_list_holds_or_counts_anything_of_it(two: Two, endpoint: Endpoint) -> None:
    caller, fields = two.one.tenant.admin, endpoint.query.model_fields if endpoint.query else {}
    queries: list[dict[str, str]] = [{}]
    if "show_deleted" in fields:
        queries.append({"show_deleted": "true"})
    if "filter" in fields:
        names = {"organization_id": two.other.tenant.organization, "id": two.other.ids.get(endpoint.kind.full_name, "")}
        queries += [{"filter": f'{name} == "{id}"'} for name, id in names.items()]
    for query in queries:
        if "total" in fields:
            query["total"] = "true"
        reply = await caller.get(url(endpoint), params=query)
        if reply.status == 400 and "filter" in query:
            continue  # has no such field
        if reply.status == 403:
            return  # not for the admin of a tenant at all
        assert reply.status == 200, reply.response.text
        for foreign in (SECRET, two.other.tenant.organization, *two.other.ids.values()):
            # A query may be told back; nothing else may hold what it named.
            assert foreign not in reply.response.text
        if "filter" in query and "total" in fields:
            assert reply.json["total_size"] == 0


@dataclass(frozen=True)
class Swap:
    """A request with a foreign id in its body."""

    name: str
    path: str
    body: Any

    @property
    def method(self) -> str:
        return "PATCH" if self.path.count("/") > 1 and ":" not in self.path else "POST"

    def __str__(self) -> str:
        return self.name


def swaps() -> list[Swap]:
    """Requests with a foreign id in the body: `{kind}` stands for that of the other, `[kind]` for one's own."""
    place = {"organization_id": "{admin.organization}"}
    found: list[tuple[str, str, Any]] = []
    for kind in STORED:
        spec, change = DRAFTS[kind.full_name]
        body = {"name": "swapped", "spec": spec}
        wheres = {
            Level.PLATFORM: [],
            Level.ORGANIZATION: [place],
            Level.PROJECT: [{"project_id": "{admin.project}"}],
        }[kind.level]
        theirs, all_of_them = f"{{{kind.full_name}}}", collection(kind)
        batch = f"{all_of_them}:batch"
        found += [
            *((f"create-{kind.name}", all_of_them, body | where) for where in wheres),
            (f"owner-{kind.name}", f"{all_of_them}/[{kind.full_name}]", {"owner": "{admin.user}"}),
            (f"batch-{kind.name}-update", batch, changes("UPDATE", id=theirs, body={"spec": change})),
            (f"batch-{kind.name}-delete", batch, changes("DELETE", id=theirs)),
            *((f"batch-{kind.name}-create", batch, changes("CREATE", body=body | where)) for where in wheres),
        ]
    grant_of_tenant = {"principal_id": "[admin.user]", "role_id": "rol_viewer", "securable_id": "[admin.project]"}
    for name, swap in {
        "principal": {"principal_id": "{admin.user}"},
        "group": {"principal_id": "{admin.group}"},
        "role": {"role_id": "{admin.role}"},
        "securable": {"securable_id": "{admin.project}"},
        "organization": {"securable_id": "{admin.organization}"},
        "platform": {"securable_id": "platform"},
    }.items():
        found.append((f"grant-{name}", "admin/grants", grant_of_tenant | swap))
        found.append((f"apply-{name}", "admin/grants:apply", {"grant": [grant_of_tenant | swap]}))
        found.append((f"simulate-{name}", "admin/decisions:simulate", {"grant": [grant_of_tenant | swap]}))
    question = {"permission": "admin.project.get", "securable_id": "[admin.project]"}
    listed = {"permission": "admin.project.get", "kind": "admin.project", "principal_id": "{admin.user}"}
    found += [
        ("revoke", "admin/grants:apply", {"revoke": ["{admin.grant}"]}),
        ("simulated-revocation", "admin/decisions:simulate", {"revoke": ["{admin.grant}"]}),
        ("members", "admin/groups/[admin.group]:add-members", {"members": ["{admin.user}"]}),
        ("member-groups", "admin/groups/[admin.group]:add-members", {"members": ["{admin.group}"]}),
        ("move", "admin/projects/[admin.project]:move", place),
        ("preview-move", "admin/projects/[admin.project]:preview-move", place),
        ("clone", "admin/roles/[admin.role]:clone", {"name": "swapped"} | place),
        ("key", "admin/api-keys", {"label": "swapped", "principal_id": "{admin.service_account}"}),
        ("key-of-user", "admin/api-keys", {"label": "swapped", "principal_id": "{admin.user}"}),
        ("invitation", "admin/invitations", {"email": "a@example.org"} | place),
        ("invited-group", "admin/invitations", {"email": "b@example.org", "groups": ["{admin.group}"]}),
        *(
            (f"invited-{name}", "admin/invitations", {"email": "c@example.org", "grants": [swap]})
            for name, swap in {
                "role": {"role_id": "{admin.role}", "securable_id": "[admin.project]"},
                "project": {"role_id": "rol_viewer", "securable_id": "{admin.project}"},
            }.items()
        ),
        ("explain", "admin/decisions:explain", question | {"principal_id": "{admin.user}"}),
        ("list-objects", "admin/decisions:list-objects", listed),
        ("list-subjects", "admin/decisions:list-subjects", question | {"securable_id": "{admin.project}"}),
        ("effective", "admin/grants:effective", {"securable_id": "{admin.project}"}),
        (
            "mapped-group",
            "admin/identity-providers/[admin.identity_provider]",
            {"spec": {"groups": {"x": "{admin.group}"}}},
        ),
        (
            "mapped-role",
            "admin/identity-providers/[admin.identity_provider]",
            {"spec": {"roles": {"x": "{admin.role}"}}},
        ),
    ]
    return [Swap(name, path, body) for name, path, body in found]


def changes(method: str, **item: Any) -> dict[str, Any]:
    return {"items": [{"method": method, **item}]}


@in_one_pass("swap", swaps())
async def test_an_id_in_the_body_is_refused(untouched: Two, swap: Swap) -> None:
    two, before = untouched, untouched.changes()
    body = json.loads(two.placed(json.dumps(swap.body)))
    reply = await two.one.tenant.admin(swap.method, two.placed(swap.path), json=body)
    assert reply.status in (403, 404, 409, 422), reply.response.text
    assert SECRET not in reply.response.text
    assert two.changes() == before, "nothing was changed on the way, in either"


UNFIT = (
    *("batch-organization-delete", "batch-project-delete"),  # they are not empty
    *("grant-platform", "apply-platform", "simulate-platform"),  # the platform belongs to no tenant
    "batch-storage_credential-delete",  # a location needs it
    *("member-groups", "move", "mapped-group"),  # a group in itself, a project where it is, a group not made for it
)
"""Swaps that would be refused with ids of one's own too."""


@in_one_pass("swap", [swap for swap in swaps() if swap.name not in UNFIT])
async def test_the_same_with_ids_of_ones_own_is_taken(two: Two, swap: Swap) -> None:
    """So that the test before does not pass for another reason."""
    body = json.loads(two.placed(json.dumps(swap.body), foreign=two.one))
    path = two.placed(swap.path)
    found = two.api.app.registry.find(f"/api/v1/{path}")
    endpoint = found and found.endpoint(swap.method)
    tried = {"validate_only": "true"} if endpoint and endpoint.changes else {}
    reply = await two.one.tenant.admin(swap.method, path, json=body, params=tried)
    assert reply.status < 300, reply.response.text


async def test_whose_right_is_gone_is_as_foreign_as_another(two: Two) -> None:
    api, own = two.api, two.one.tenant
    guest = await user(api, "guest", own.organization)
    right = await grant(api, guest, "rol_viewer", own.project)
    caller = api.caller("guest")
    assert (await caller.get(f"admin/projects/{own.project}")).status == 200
    assert (await api.admin("DELETE", f"/api/v1/admin/grants/{right}")).status == 204
    assert (await caller.get(f"admin/projects/{own.project}")).status in (403, 404)
