"""Tokens of recipients: one link, one profile; rotation overlaps; what is revoked ends at once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from api.services.ai_catalog.sharing_tables import RECIPIENT_TOKEN
from core import clock
from core.events import EVENT
from tests.api.admin.tenants import made, tenant
from tests.api.ai_catalog.sharing import DAILY, provider
from tests.api.both_databases import on_both
from tests.api_process import Api

ACTIVATE = "ai-catalog/recipients:activate"


async def later(**delta: Any) -> None:
    clock.freeze(lambda: datetime.now(UTC) + timedelta(**delta))


@pytest.fixture(autouse=True)
def real_time() -> Any:
    yield
    clock.freeze(None)


@pytest.mark.effect("ai_catalog_invite_recipient", "ai_catalog_activate_recipient")
async def test_a_link_works_once_and_its_secrets_are_not_stored(api: Api) -> None:
    home = await provider(api)
    await home.share("partners", {"asset": DAILY})
    await home.recipient("acme", "partners")
    link = await made(home.on_recipient("acme", "invite"))
    assert link["url"].endswith(f"/share-activation#{link['secret']}")
    replaced = await made(home.on_recipient("acme", "invite"))
    assert (await api.anonymous.post(ACTIVATE, {"secret": link["secret"]})).status == 404, "a newer link ends it"
    profile = await made(api.anonymous.post(ACTIVATE, {"secret": replaced["secret"]}))
    assert profile["shareCredentialsVersion"] == 1
    assert profile["endpoint"].endswith("/delta-sharing")
    assert datetime.fromisoformat(profile["expirationTime"]) > datetime.now(UTC) + timedelta(days=89)
    for _ in range(2):
        assert (await api.anonymous.post(ACTIVATE, {"secret": replaced["secret"]})).status == 404
    assert (await home.on_recipient("acme", "invite")).status == 409, "it has a token"
    with api.database.read() as connection:
        stored = [str(row) for table in (RECIPIENT_TOKEN, EVENT) for row in connection.execute(sa.select(table))]
    assert not any(secret in row for row in stored for secret in (replaced["secret"], profile["bearerToken"]))
    tokens = (await api.admin.get(f"ai-catalog/recipients/{home.ids['acme']}/tokens")).json["items"]
    assert [one["state"] for one in tokens] == ["ACTIVE", "REVOKED"]
    assert "digest" not in json.dumps(tokens)


async def test_a_link_expires(api: Api) -> None:
    home = await provider(api)
    await home.recipient("acme")
    link = await made(home.on_recipient("acme", "invite", link_hours=1))
    await later(hours=2)
    assert (await api.anonymous.post(ACTIVATE, {"secret": link["secret"]})).status == 404
    for secret in ("", "x" * 201, "hwl_\0"):
        assert (await api.anonymous.post(ACTIVATE, {"secret": secret})).status in (400, 404, 422)


@pytest.mark.effect("ai_catalog_rotate_recipient")
async def test_tokens_overlap_when_they_are_rotated(api: Api) -> None:
    home = await provider(api)
    await home.share("partners", {"asset": DAILY})
    old = await home.client("acme", "partners")
    new = await home.activated((await made(home.on_recipient("acme", "rotate", overlap_hours=2)))["secret"])
    assert [(await one.get("/shares")).status for one in (old, new)] == [200, 200]
    await later(hours=3)
    assert [(await one.get("/shares")).status for one in (old, new)] == [401, 200]
    at_once = await home.activated((await made(home.on_recipient("acme", "rotate", overlap_hours=0)))["secret"])
    assert [(await one.get("/shares")).status for one in (new, at_once)] == [401, 200]
    await later(days=200)
    assert (await at_once.get("/shares")).status == 401, "it has expired"
    assert (await home.on_recipient("acme", "rotate")).status == 409, "there is nothing to rotate"


@on_both
@pytest.mark.effect("ai_catalog_revoke_recipient")
async def test_a_revocation_ends_tokens_and_links_at_once(api: Api) -> None:
    home = await provider(api)
    await home.share("partners", {"asset": DAILY})
    client = await home.client("acme", "partners")
    link = (await client.query()).files[0]["url"]
    assert (await client.download(link)).status_code == 200
    pending = await made(home.on_recipient("acme", "rotate"))
    assert (await made(home.on_recipient("acme", "revoke"))) == {"revoked": 2}
    assert (await client.get("/shares")).status == 401
    assert (await client.download(link)).status_code == 401
    assert (await api.anonymous.post(ACTIVATE, {"secret": pending["secret"]})).status == 404


async def test_a_deleted_recipient_has_nothing(api: Api) -> None:
    home = await provider(api)
    await home.share("partners", {"asset": DAILY})
    client = await home.client("acme", "partners")
    link = (await client.query()).files[0]["url"]
    path = f"ai-catalog/recipients/{home.ids['acme']}"
    assert (await api.admin("DELETE", path)).status == 204
    assert (await client.get("/shares")).status == 401
    assert (await client.download(link)).status_code == 401
    await made(api.admin.post(f"{path}:restore", {}))
    assert (await client.get("/shares")).status == 401, "its tokens stay revoked"


async def test_requests_come_from_the_networks_of_a_recipient(api: Api) -> None:
    home = await provider(api)
    await home.share("partners", {"asset": DAILY})
    client = await home.client("acme", "partners", networks=["127.0.0.0/8"])
    link = (await client.query()).files[0]["url"]
    body = {"spec": {"networks": ["192.0.2.0/24"]}}
    await made(api.admin("PATCH", f"ai-catalog/recipients/{home.ids['acme']}", json=body))
    assert (await client.get("/shares")).status == 401
    assert (await client.download(link)).status_code == 401
    wrong = {"name": "other", "spec": {"title": "Other", "networks": ["here"]}}
    assert (await api.admin.post("ai-catalog/recipients", wrong)).status == 422


async def test_no_one_gives_a_recipient_more_than_they_can_read(api: Api) -> None:
    home = await provider(api)
    await home.share("partners", {"asset": DAILY})
    await home.client("acme", "partners")
    other = await tenant(api, "other")
    for verb in ("invite", "rotate", "revoke"):
        assert (await home.on_recipient("acme", verb, by=other.admin)).status == 404
        assert (await home.on_recipient("acme", verb, by=api.editor)).status == 403
    principal = (await api.admin.get("admin/users/editor")).json["id"]
    for body in (
        {"role_id": "rol_admin", "securable_id": "platform"},
        {"permission": "ai_catalog.asset.preview", "effect": "DENY", "securable_id": DAILY},
    ):
        await made(api.admin.post("admin/grants", {"principal_id": principal, **body}))
    refused = await home.on_recipient("acme", "rotate", by=api.editor)
    assert (refused.status, refused.reason) == (403, "EXCEEDS_RIGHTS")
    assert DAILY not in refused.response.text
    again = await home.recipient("globex")
    granted = await home.on_share("partners", "grant", {"recipient_id": again}, by=api.editor)
    assert (granted.status, granted.reason) == (403, "EXCEEDS_RIGHTS")
    added = await home.on_share("partners", "add-object", {"asset": DAILY, "table_name": "mine"}, by=api.editor)
    assert added.status == 403


async def test_a_purged_organization_leaves_no_token(api: Api) -> None:
    body = {"name": "one", "spec": {"title": "One"}}
    organization = (await made(api.admin.post("admin/organizations", body)))["id"]
    body = {"name": "acme", "organization_id": organization, "spec": {"title": "Acme"}}
    recipient = (await made(api.admin.post("ai-catalog/recipients", body)))["id"]
    link = await made(api.admin.post(f"ai-catalog/recipients/{recipient}:invite", {}))
    assert (await api.admin("DELETE", f"ai-catalog/recipients/{recipient}")).status == 204
    assert (await api.anonymous.post(ACTIVATE, {"secret": link["secret"]})).status == 404
    path = f"admin/organizations/{organization}"
    assert (await api.admin("DELETE", path)).status == 204
    await later(days=40)
    api.admin = api.caller("admin")
    await made(api.admin.post(f"{path}:purge", {"name": "one"}))
    with api.database.read() as connection:
        assert connection.execute(sa.select(RECIPIENT_TOKEN)).all() == []


@on_both
async def test_of_two_that_use_a_link_at_once_one_gets_a_profile(api: Api) -> None:
    home = await provider(api)
    await home.recipient("acme")
    link = await made(home.on_recipient("acme", "invite"))
    replies = await asyncio.gather(*(api.anonymous.post(ACTIVATE, {"secret": link["secret"]}) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 404, 404, 404, 404]
