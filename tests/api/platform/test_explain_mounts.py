"""`headwater explain` tells of other protocols' paths what is then so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli.app import app
from api.kernel.documents import ledger
from api.kernel.http.state import KEY, RequestState
from api.kernel.kinds.registry import Mount
from api.main import SERVICES, mounts
from api.protocols.calls import Calls
from tests.api.admin.identity_provider import Provider, registered, running_provider, sign_in
from tests.api.admin.tenants import made
from tests.api_process import PASSWORD, Api, Caller, running
from tests.orchestration import FakeOrchestrator
from tests.scim import PATCH, USER

pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config")
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        yield started


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Api]:
    """The provider is on loopback, so this platform allows private addresses."""
    async with running(
        tmp_path, FakeOrchestrator(), database_url=database_url, HEADWATER_PRIVATE_SOURCES="true"
    ) as started:
        yield started


@cache
def registered_mounts() -> dict[str, Mount]:
    return {mount.path: mount for mount in mounts()}


def explained(path: str) -> ledger.MountExplanation:
    return ledger.explain_mount(registered_mounts()[path], SERVICES)


class Watch:
    """Compares what requests to a mount write and tell with what was foretold of it."""

    def __init__(self, api: Api, written: set[str]) -> None:
        self._api = api
        self.written = written

    async def done(self, path: str, awaited: Awaitable[Any]) -> Any:
        self.written.clear()
        since = self._api.last_sequence()
        answer = await awaited
        status = getattr(answer, "status", None) or answer.status_code
        assert status < 400, answer
        explanation = explained(path)
        assert self.written <= set(explanation.tables), path
        types = {event["type"] for event in self._api.events(after=since)}
        assert not {type for type in types if not any(fnmatch(type, one) for one in explanation.events)}, path
        return answer


@pytest.fixture
def watch(api: Api, written: set[str]) -> Watch:
    return Watch(api, written)


async def test_a_login_by_an_identity_provider(api: Api, provider: Provider, watch: Watch) -> None:
    group = await made(api.admin.post("admin/groups", {"name": "staff", "spec": {"title": "Staff", "source": "CLAIM"}}))
    rules = {"groups": {"engineers": group["id"]}, "roles": {"engineers": "rol_viewer"}}
    await registered(api, provider, just_in_time=True, **rules)
    claims = {"email": "ada@example.org", "preferred_username": "ada"}
    provider.claim("s-ada", **claims, groups=["engineers"], roles=["engineers"])
    browser = Caller(api.app, None)
    await watch.done("/login/oidc", sign_in(browser, provider))
    assert {"identity", "principal", "member", "grant", "token", "event"} <= watch.written
    provider.claim("s-ada", **claims, groups=[], roles=[])
    await watch.done("/login/oidc", sign_in(browser, provider))
    assert {"member", "grant"} <= watch.written, "taken away again"
    explanation = ledger.explain(ledger.find(SERVICES, "admin_login"), None, mounts())
    assert {"/login/oidc", "/oauth/token"} <= set(explanation.mounts)
    assert not {"identity", "member", "grant"} & set(explanation.tables), "a password gives no group and no role"


async def test_tokens_by_oauth(api: Api, provider: Provider, watch: Watch) -> None:
    await registered(api, provider, just_in_time=True)

    async def asked(path: str, **form: str) -> Any:
        return await watch.done(path, api.anonymous.http.post(path, data=form))

    token = await provider.id_token("s-ada")
    exchange_form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN}
    issued = (await asked("/oauth/token", **exchange_form)).json()["access_token"]
    assert {"identity", "principal", "token"} <= watch.written
    await asked("/oauth/revoke", token=issued)
    assert "token" in watch.written
    login = await made(api.anonymous.post("admin/sessions:login", {"name": "admin", "password": PASSWORD}))
    await asked("/oauth/token", grant_type="refresh_token", refresh_token=login["refresh_token"])
    assert {"token", "event"} <= watch.written
    project = (await made(api.admin.post("admin/projects", {"name": "one", "spec": {"title": "One"}})))["id"]
    body = {"name": "bot", "project_id": project, "spec": {}}
    bot = (await made(api.admin.post("admin/service-accounts", body)))["id"]
    key = (await made(api.admin.post("admin/api-keys", {"label": "k", "principal_id": bot})))["secret"]
    await asked("/oauth/token", grant_type="client_credentials", client_id=bot, client_secret=key)
    assert {"token", "event"} <= watch.written


async def test_a_directory_by_scim(api: Api, watch: Watch) -> None:
    async def does(method: str, path: str, body: Any = None) -> Any:
        given = {"json": body, "headers": {"content-type": "application/scim+json"}} if body else {}
        return await watch.done("/scim/v2", api.admin.http.request(method, f"/scim/v2/{path}", **given))

    person = {"schemas": [USER], "userName": "ana", "password": "a long enough passphrase", "active": False}
    ana = (await does("POST", "Users", person)).json()["id"]
    assert {"resource", "principal", "password_history", "event"} <= watch.written
    change = {"op": "replace", "path": "active", "value": True}
    await does("PATCH", f"Users/{ana}", {"schemas": [PATCH], "Operations": [change]})
    group = (await does("POST", "Groups", {"displayName": "Staff", "members": [{"value": ana}]})).json()["id"]
    assert "member" in watch.written
    await does("PUT", f"Groups/{group}", {"displayName": "Staff", "members": []})
    await does("DELETE", f"Groups/{group}")
    await does("DELETE", f"Users/{ana}")
    assert "auth_epoch" in watch.written


def test_every_mount_can_be_explained() -> None:
    for path in registered_mounts():
        assert explained(path).path == path
    writing = {path for path in registered_mounts() if explained(path).tables}
    assert {
        "/login/oidc",
        "/oauth/token",
        "/oauth/revoke",
        "/oauth/jwks",
        "/scim/v2",
        "/dagster",
        "/openlineage/api/v1",
        "/artifact-files",
        "/artifact-links",
        "/delta-sharing",
        "/feast",
        "/mlflow",
        "/mlflow/api/2.0/mlflow-artifacts/artifacts",
    } == writing


def test_who_enters_and_in_whose_name_it_acts() -> None:
    parsed = json.loads(CliRunner().invoke(app, ["explain", "GET", "/login/oidc/acme", "--json"]).output)
    assert (parsed["path"], parsed["role"], parsed["acts_as"]) == ("/login/oidc", "none", ["admin_login"])
    assert {"admin.session.logged_in", "admin.user.created", "admin.group.members_*"} <= set(parsed["events"])
    words = CliRunner().invoke(app, ["explain", "/scim/v2"]).output
    for part in ("all below it", "VIEWER", "admin_suspend_user", "password_history", "admin.user.password_set"):
        assert part in words


def test_a_mount_acts_in_no_name_that_it_does_not_declare(api: Api) -> None:
    """Otherwise it would write without an explanation."""
    state = RequestState("req", "", found=api.app.registry.find("/login/oidc/acme"))
    calls = Calls(api.app)
    assert calls.context({KEY: state}, "admin_login").request_id == "req"
    with pytest.raises(RuntimeError, match="admin_create_user"):
        calls.context({KEY: state}, "admin_create_user")
