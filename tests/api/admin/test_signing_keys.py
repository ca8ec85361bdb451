"""Keys of signed tokens: made once, published before they sign and until all they signed has ended, never disclosed."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.credentials import signing_keys
from api.kernel.credentials.signing_keys import SigningKeys
from api.kernel.platform import Platform
from api.kernel.tables import SIGNING_KEY
from core import clock
from core.db import Database
from core.errors import Unavailable
from tests.api.admin.signed_tokens import BASE, LAKE, active, declare, exchange, part, published, signed
from tests.api.admin.tenants import made, tenant
from tests.api.both_databases import on_both
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Api]:
    async with running(tmp_path, FakeOrchestrator(), database_url=database_url) as started:
        yield started


@pytest.fixture(autouse=True)
def time() -> Iterator[None]:
    yield
    clock.freeze(None)


def later(**by: float) -> None:
    clock.freeze(lambda: datetime.now(UTC) + timedelta(**by))


async def listed(api: Api) -> dict[str, str]:
    """The id of the key in each state, as an admin sees them."""
    items = (await made(api.caller("admin").get("admin/signing-keys")))["items"]
    return {item["state"]: item["id"] for item in items}


async def signer(api: Api) -> str:
    """The key that a new token is signed by."""
    return str(part(await signed(api, api.caller("editor").token), 0)["kid"])


def rows(api: Api) -> dict[str, Any]:
    with api.database.read() as connection:
        return {row.id: row for row in connection.execute(sa.select(SIGNING_KEY))}


async def test_whoever_looks_first_makes_them_and_nobody_sees_an_empty_set(api: Api) -> None:
    assert await listed(api) == {}
    answer = await api.anonymous.http.get(f"{BASE}/oauth/jwks")
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json()["keys"]
    assert len(keys) == 2
    for key in keys:
        assert set(key) == {"kid", "kty", "use", "alg", "n", "e"}, "public parts only"
        assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    found = await listed(api)
    assert set(found) == {"CURRENT", "NEXT"}
    assert {key["kid"] for key in keys} == set(found.values()) == set(await published(api))
    await declare(api, LAKE)
    assert await signer(api) == found["CURRENT"]
    assert (await api.anonymous.http.head(f"{BASE}/oauth/jwks")).status_code == 200
    assert (await api.anonymous.http.post(f"{BASE}/oauth/jwks")).status_code == 405
    assert [event["principal"] for event in api.events("admin.signing_key.made")] == ["headwater"] * 2


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def test_processes_that_begin_at_once_make_one_key(
    tmp_path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    url = request.getfixturevalue("platform_postgresql_url") if database == "postgresql" else ""
    async with running(tmp_path, FakeOrchestrator(), database_url=url) as api:
        start = Barrier(4)

        def process() -> str:
            own = Platform(api.app.platform.settings, Database(api.database.url), FakeOrchestrator())
            keys = SigningKeys(own)
            start.wait()
            with own.database.write() as connection:
                keys.advance(connection)
                token = keys.sign(connection, {"sub": "x"})
            own.close()
            return str(part(token, 0)["kid"])

        with ThreadPoolExecutor(4) as pool:
            signers = {future.result() for future in [pool.submit(process) for _ in range(4)]}
        found = await listed(api)
        assert (len(rows(api)), signers) == (2, {found["CURRENT"]})
        later(days=31)
        start.reset()
        with ThreadPoolExecutor(4) as pool:
            signers = {future.result() for future in [pool.submit(process) for _ in range(4)]}
        assert (len(rows(api)), signers) == (3, {found["NEXT"]}), "and they rotate once"


@pytest.mark.effect("admin_rotate_signing_keys")
async def test_a_key_signs_only_after_everybody_could_know_it(api: Api) -> None:
    await declare(api, LAKE)
    await published(api)
    before = await listed(api)
    early = await api.admin.post("admin/signing-keys:rotate", {})
    assert (early.status, 0 < int(early.headers["retry-after"]) <= 600) == (409, True)
    old = await signed(api, api.editor.token)
    later(minutes=11)
    rotated = await made(api.admin.post("admin/signing-keys:rotate", {}))
    assert (rotated["id"], rotated["state"]) == (before["NEXT"], "CURRENT")
    after = await listed(api)
    assert await signer(api) == before["NEXT"]
    assert set(await published(api)) == {before["CURRENT"], before["NEXT"], after["NEXT"]}
    assert not await active(api, old), "it was five minutes old when the keys were rotated"
    one = await made(api.admin.get(f"admin/signing-keys/{before['CURRENT']}"))
    assert datetime.fromisoformat(one["published_until"]) > clock.now() + timedelta(minutes=5)
    later(minutes=11 + 6.5)
    assert set(await published(api)) == {before["NEXT"], after["NEXT"]}, "all that it signed has ended"
    assert api.events("admin.signing_key.activated")[-1]["subject"] == before["NEXT"]


async def test_what_the_former_key_signed_still_holds(api: Api) -> None:
    await declare(api, LAKE)
    await published(api)
    later(minutes=11)
    token = await signed(api, api.editor.token)
    await made(api.admin.post("admin/signing-keys:rotate", {}))
    assert await active(api, token)
    assert part(token, 0)["kid"] in await published(api)


async def test_a_key_signs_for_thirty_days(api: Api) -> None:
    await declare(api, LAKE)
    first, before = await signer(api), await listed(api)
    later(days=29.9)
    assert await signer(api) == first
    later(days=30.1)
    assert await signer(api) == before["NEXT"]
    after = await listed(api)
    assert after["FORMER"] == first
    assert set(await published(api)) == set(after.values())
    later(days=90)
    assert await signer(api) == after["NEXT"], "no token was requested for a while: it is the key that was published"


@pytest.mark.effect("admin_revoke_signing_key")
async def test_a_revoked_key_and_what_it_signed_end_at_once(api: Api) -> None:
    await declare(api, LAKE)
    token, before = await signed(api, api.editor.token), await listed(api)
    later(minutes=11)
    fresh = await signed(api, api.editor.token)
    revoked = await made(api.admin.post(f"admin/signing-keys/{before['CURRENT']}:revoke", {}))
    assert revoked["state"] == "REVOKED"
    assert not await active(api, fresh)
    assert not await active(api, token)
    assert before["CURRENT"] not in await published(api)
    assert await signer(api) == before["NEXT"]
    assert await active(api, await signed(api, api.editor.token))
    assert (await api.admin.post(f"admin/signing-keys/{before['CURRENT']}:revoke", {})).status == 409


async def test_without_a_key_that_others_know_nothing_is_signed(api: Api) -> None:
    await declare(api, LAKE)
    await published(api)
    before = await listed(api)
    for state in ("CURRENT", "NEXT"):
        await made(api.admin.post(f"admin/signing-keys/{before[state]}:revoke", {}))
    answer = await exchange(api, api.editor.token)
    assert (answer.status_code, 0 < int(answer.headers["retry-after"]) <= 600) == (503, True)
    after = await listed(api)
    assert await published(api) == [after["NEXT"]]
    later(minutes=11)
    assert await signer(api) == after["NEXT"]


async def test_only_admins_of_the_platform_see_and_change_them(api: Api) -> None:
    await published(api)
    one, found = await tenant(api, "one"), await listed(api)
    for caller in (one.admin, api.editor):
        assert (await caller.get("admin/signing-keys")).status == 403
        assert (await caller.get(f"admin/signing-keys/{found['CURRENT']}")).status == 403
        assert (await caller.post("admin/signing-keys:rotate", {})).status == 403
        assert (await caller.post(f"admin/signing-keys/{found['NEXT']}:revoke", {})).status == 403


async def test_private_keys_are_sealed_shown_nowhere_and_dropped_when_done(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await declare(api, LAKE)
    first = await signer(api)
    keys = api.app.platform.part(SigningKeys)
    private = keys._private(rows(api)[first]).as_dict(private=True)
    secrets = [str(private[name]) for name in ("d", "p", "q", "dp", "dq", "qi")]
    displayed = [
        json.dumps([dict(row._mapping) for row in rows(api).values()], default=str),
        (await api.admin.get("admin/signing-keys")).response.text,
        (await api.anonymous.http.get(f"{BASE}/oauth/jwks")).text,
        json.dumps(api.events(), default=str),
        caplog.text,
        repr(keys) + str(vars(keys)),
        *(path.read_bytes().decode("latin1") for path in tmp_path.glob("metadata.db*")),
    ]
    assert not [secret for secret in secrets for text in displayed if secret in text]
    later(days=31)
    second = await signer(api)
    assert (rows(api)[first].sealed, rows(api)[second].sealed is None) == (None, False)


@on_both
async def test_a_key_that_cannot_be_unsealed_signs_nothing_and_is_not_told(api: Api, tmp_path: Path) -> None:
    await declare(api, LAKE)
    await published(api)
    (tmp_path / "keys" / "sealing.keys").unlink()
    with api.database.write() as connection:
        fresh = Platform(api.app.platform.settings, api.database, FakeOrchestrator())
        with pytest.raises(Unavailable, match="was encrypted with key"):
            signing_keys.SigningKeys(fresh).sign(connection, {})
        fresh.workers.close()
