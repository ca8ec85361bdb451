"""Forgotten passwords: the mailed link opens what it should, once, and no answer discloses who has an account."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.main import create_app
from api.services.admin.login_tables import PASSWORD_RESET
from core import clock
from core.db import METADATA
from tests.api.admin.mailing import Run, arrived, handled, token_in, until
from tests.api.admin.tenants import Tenant, made, tenant
from tests.api.admin.test_one_time_passwords import enrolled
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller, Reply
from tests.mail_server import Inbox, mail_server
from tests.orchestration import FakeOrchestrator
from tests.ports import free_port

ASK, RESET, LOGIN = (f"admin/sessions:{verb}" for verb in ("request-password-reset", "reset-password", "login"))
ADDRESS, NEW = "ada@example.org", "another long password"
pytestmark = pytest.mark.effect("admin_request_password_reset", "admin_reset_password")


async def person(api: Api, name: str = "ada", *, password: str = PASSWORD, **extra: Any) -> str:
    """A user with an address and, unless it is empty, a password."""
    body = {"name": name, "spec": {"emails": [ADDRESS]}, **extra}
    id = str((await made(api.admin.post("admin/users", body)))["id"])
    if password:
        await made(api.admin.post(f"admin/users/{id}:set-password", {"password": password}))
    return id


async def ask(api: Api, name: str = "ada", *, client: str = "127.0.0.1") -> Reply:
    return await Caller(api.app, None, client=client).post(ASK, {"name": name})


async def asked(api: Api, inbox: Inbox, name: str = "ada") -> str:
    """Requests a reset and returns the token in the mail."""
    before = len(inbox.mails)
    await made(ask(api, name))
    await arrived(inbox, before + 1)
    return token_in(inbox, page="/reset-password")


async def reset(api: Api, token: str, password: str = NEW) -> Reply:
    return await Caller(api.app, None).post(RESET, {"token": token, "new_password": password})


async def log_in(api: Api, password: str, name: str = "ada", **extra: str) -> Reply:
    return await Caller(api.app, None).post(LOGIN, {"name": name, "password": password, **extra})


@contextmanager
def later(minutes: float) -> Iterator[None]:
    clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=minutes))
    try:
        yield
    finally:
        clock.freeze(None)


async def test_the_link_in_the_mail_sets_another_password(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            ada = await person(api)
            old = Caller(api.app, (await made(log_in(api, PASSWORD)))["token"])
            key = api.caller("ada")
            token = await asked(api, inbox)
            (mail,) = inbox.mails
            assert (mail["subject"], inbox.recipients) == ("Reset your password", [ADDRESS])
            assert "the password of default/ada" in mail.get_content()
            for page in ("/reset-password", "/forgot-password"):
                assert f'"static{page}.js"' in (await api.anonymous.http.get(page)).text
            assert (await old.get("admin/sessions/current")).status == 200, "nothing happened yet"

            answer = await reset(api, token)
            assert (answer.status, answer.json["user"]) == (200, "ada")
            assert "set-cookie" not in answer.headers
            assert "token" not in answer.json
            assert (await old.get("admin/sessions/current")).status == 401
            assert (await key.get("admin/sessions/current")).status == 200, "a key is no login"
            assert (await log_in(api, PASSWORD)).status == 401
            assert (await log_in(api, NEW)).status == 200

            await arrived(inbox, 2)
            assert inbox.mails[1]["subject"] == "Your password was changed"
            assert inbox.recipients == [ADDRESS, ADDRESS]
            reported = api.events("admin.session.password")
            assert [(one["type"].rpartition(".")[2], one["subject"], one["principal"]) for one in reported] == [
                ("password_reset_requested", ada, "anonymous"),
                ("password_reset", ada, "ada"),
            ]
            assert {one["organization_id"] for one in reported} == {"org_default"}
            assert [one["data"]["action"] for one in reported] == [
                "admin.session.request_password_reset",
                "admin.session.reset_password",
            ]


async def test_another_process_ends_the_logins_within_seconds(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            await person(api)
            login = await made(log_in(api, PASSWORD))
            other_app = create_app(api.app.platform.settings, orchestrator=FakeOrchestrator())
            stack = await other_app.startup()
            other = Caller(other_app, login["token"])
            assert (await other.get("admin/sessions/current")).status == 200
            await made(reset(api, await asked(api, inbox)))
            async with asyncio.timeout(60):
                while (await other.get("admin/sessions/current")).status == 200:
                    await asyncio.sleep(0.05)
            refreshed = await other.post("admin/sessions:refresh", {"refresh_token": login["refresh_token"]})
            assert refreshed.status == 401
            await other.http.aclose()
            await stack.aclose()


async def test_it_goes_to_an_address_of_the_account_as_it_is_stored(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            await person(api, spec={"emails": ["main@example.org", "Second@Example.org"]})
            await person(api, "bob", spec={"emails": ["second@example.org"]})
            for typed, reached in (
                ("ada", ["main@example.org"]),
                ("MAIN@example.ORG", ["main@example.org"]),
                ("SECOND@example.org", ["Second@Example.org", "second@example.org"]),
            ):
                before = len(inbox.recipients)
                await made(ask(api, typed))
                await arrived(inbox, before + len(reached))
                assert sorted(inbox.recipients[before:]) == reached
            texts = [mail.get_content() for mail in inbox.mails[-2:]]
            assert sorted("of default/ada" in text for text in texts) == [False, True], (
                "each of two users is named in their own mail"
            )
            subjects = {event["subject"] for event in api.events("admin.session.password_reset_requested")[-2:]}
            assert len(subjects) == 2


async def test_nobody_learns_who_has_an_account(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            await person(api)
            await person(api, "suspended", spec={"emails": ["suspended@example.org"]})
            await made(api.admin.post("admin/users/suspended:suspend"))
            gone = await person(api, "deleted", spec={"emails": ["deleted@example.org"]})
            assert (await api.admin("DELETE", f"/api/v1/admin/users/{gone}")).status == 204
            await person(api, "passwordless", password="", spec={"emails": ["passwordless@example.org"]})
            await person(api, "unreachable", spec={"emails": []})
            robot = {
                "name": "robot",
                "project_id": (await tenant(api, "one")).project,
                "spec": {"description": "Loads"},
            }
            await made(api.admin.post("admin/service-accounts", robot))
            await handled(api, "password-reset-mail")

            watched, written = ("password_reset", "login_failure", "event"), list[str]()

            def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
                if (words := statement.split())[0] in ("INSERT", "DELETE") and words[2] in watched:
                    written.append(f"{words[0]} {words[2]}")

            sa.event.listen(api.database.engine, "before_cursor_execute", note)
            seen = []
            names = ["ada", "absent", "suspended", "deleted", gone, "passwordless", "unreachable", "robot", "admin"]
            for name in names:
                for typed in (name, f"{name}@example.org"):
                    written.clear()
                    reply = await ask(api, typed)
                    headers = {key: value for key, value in reply.headers.items() if key != "x-request-id"}
                    seen.append((reply.status, reply.response.content, headers, tuple(written)))
            assert seen[0][0] == 200
            assert len(seen[0][3]) == 6
            assert [one for one in seen if one != seen[0]] == []
            await handled(api, "password-reset-mail")
            assert set(inbox.recipients) == {ADDRESS}
            subjects = [event["subject"] for event in api.events("admin.session.password_reset_requested")]
            assert subjects[2:] == ["unknown"] * (2 * len(names) - 2)
            assert subjects[0] == subjects[1] != "unknown"


async def test_who_asks_often_is_slowed_down(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            await person(api)
            for name in ("ada", "absent"):
                for number in range(5):
                    assert (await ask(api, name, client=f"10.0.0.{number}")).status == 200
                refused = await ask(api, name, client="10.0.0.9")
                assert (refused.status, refused.reason) == (429, "TOO_MANY_REQUESTS")
                assert int(refused.headers["retry-after"]) >= 1
                assert "reset a password" in refused.json["detail"]
            assert (await log_in(api, PASSWORD)).status == 200, "a login is something else"
            for number in range(30):
                assert (await ask(api, f"name{number}", client="10.0.1.1")).status == 200
            assert (await ask(api, "another", client="10.0.1.1")).status == 429
            assert (await ask(api, "another", client="10.0.1.2")).status == 200
            with later(16):
                assert (await ask(api)).status == 200


@on_both
async def test_a_link_works_once_even_for_two_at_the_same_moment(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            await person(api)
            token = await asked(api, inbox)
            answers = await asyncio.gather(*(reset(api, token, f"{NEW} {n}") for n in range(3)))
            assert sorted(answer.status for answer in answers) == [200, 404, 404]
            (right,) = [n for n, answer in enumerate(answers) if answer.status == 200]
            assert (await log_in(api, f"{NEW} {right}")).status == 200
            unknown, used = await reset(api, "nonsense"), await reset(api, token)
            assert (used.status, used.json["detail"]) == (404, unknown.json["detail"])
            assert len(api.events("admin.session.password_reset")) == 2, "the request and one success"


async def test_a_link_ends_by_itself_by_a_newer_one_and_by_any_change_of_password_or_address(mailing: Run) -> None:
    async def change(caller: Caller, **spec: Any) -> None:
        headers = {"content-type": "application/merge-patch+json"}
        await made(caller("PATCH", f"admin/users/{ada}", json={"spec": spec}, headers=headers))

    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            ada = await person(api)
            token = await asked(api, inbox)
            with later(31):
                assert (await reset(api, token)).status == 404
            newer = await asked(api, inbox)
            assert (await reset(api, token)).status == 404
            await made(api.admin.post(f"admin/users/{ada}:set-password", {"password": "set by an admin"}))
            assert (await reset(api, newer)).status == 404
            token = await asked(api, inbox)
            own = {"name": "ada", "password": "set by an admin", "new_password": PASSWORD}
            await made(api.anonymous.post("admin/sessions:change-password", own))
            assert (await reset(api, token)).status == 404
            await arrived(inbox, 4)  # the notice of it
            token = await asked(api, inbox, ADDRESS)
            await change(api.admin, emails=["new@example.org"])
            assert (await reset(api, token)).status == 404
            token = await asked(api, inbox, "new@example.org")
            await made(api.admin.post(f"admin/users/{ada}:suspend"))
            assert (await reset(api, token)).status == 404
            assert (await log_in(api, NEW)).status == 401
            await made(api.admin.post(f"admin/users/{ada}:activate"))
            assert (await reset(api, token)).status == 200


async def test_a_one_time_password_is_still_asked_for(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            await person(api)
            session = Caller(api.app, (await made(log_in(api, PASSWORD)))["token"])
            phone = await enrolled(session, "ada")
            await made(reset(api, await asked(api, inbox)))
            assert (await log_in(api, NEW)).status == 401
            assert (await log_in(api, NEW, one_time_password=phone.code())).status == 200


async def test_the_policy_holds_and_a_refused_password_leaves_the_link_open(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            headers = {"content-type": "application/merge-patch+json"}
            policy = {"password_min_length": 14, "password_history": 3}
            await made(api.admin("PATCH", "admin/settings/platform", json=policy, headers=headers))
            await person(api)
            await made(api.admin.post("admin/users/ada:require-reset"))
            token = await asked(api, inbox)
            for refused in ("thirteen char", PASSWORD, "x" * 300):
                answer = await reset(api, token, refused)
                assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/new_password")
            assert (await log_in(api, PASSWORD)).reason == "PASSWORD_RESET_REQUIRED"
            await made(reset(api, token))
            assert (await log_in(api, NEW)).status == 200


async def test_it_lets_in_who_was_locked_out_by_wrong_passwords(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            await person(api)
            for _ in range(6):
                await log_in(api, "wrong wrong wrong")
            assert (await log_in(api, PASSWORD)).status == 429
            await made(reset(api, await asked(api, inbox)))
            assert (await log_in(api, NEW)).status == 200


@on_both
async def test_another_organization_sees_and_feels_nothing(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            one, two = await tenant(api, "one"), await tenant(api, "two")
            owned, theirs = await twins(api, one, two)
            login = await made(log_in(api, PASSWORD, "theirs"))
            await made(ask(api, ADDRESS))
            await arrived(inbox, 2)
            tokens = [token_in(inbox, n, page="/reset-password") for n in range(2)]
            named = ["of one/mine" in mail.get_content() for mail in inbox.mails]
            assert (await reset(api, tokens[named.index(True)])).json["user"] == "mine"
            assert (await Caller(api.app, login["token"]).get("admin/sessions/current")).status == 200
            assert (await log_in(api, PASSWORD, "theirs")).status == 200
            for caller, id, count in ((one.admin, owned, 2), (two.admin, theirs, 1)):
                query = {"filter": 'type.startsWith("admin.session.password")'}
                rows = (await made(caller.get("admin/audit-events", params=query)))["items"]
                assert [row["subject"] for row in rows] == [id] * count


async def twins(api: Api, one: Tenant, two: Tenant) -> tuple[str, str]:
    owned = await person(api, "mine", organization_id=one.organization)
    return owned, await person(api, "theirs", organization_id=two.organization)


@on_both
async def test_a_server_that_is_away_or_refuses_is_told_to_admins_only(
    mailing: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    port = free_port()
    async with mailing(port) as api:
        await person(api)
        assert (await made(api.admin.get("admin/users/ada/account")))["password_reset"] is None
        await made(ask(api))

        async def link() -> dict[str, Any]:
            return dict((await made(api.admin.get("admin/users/ada/account")))["password_reset"])

        async def failed() -> bool:
            return (await link())["mail_problem"] is not None

        await until(failed, "the note")
        assert "ConnectionRefusedError" in (await link())["mail_problem"]
        # Nothing that is kept while it waits holds the token in the clear.
        outputs = [str(row) for table in METADATA.sorted_tables for row in rows_of(api, table)]
        outputs += [path.read_bytes().decode("latin1") for path in tmp_path.glob("metadata.db*")]
        with mail_server(port) as inbox:
            await arrived(inbox)
            token = token_in(inbox, page="/reset-password")

            async def mailed() -> bool:
                return (await link())["mailed_at"] is not None

            await until(mailed, "the note")
            assert [row.sealed for row in rows_of(api, PASSWORD_RESET)] == [None]
            await made(reset(api, token))
            await arrived(inbox, 2)
            inbox.refuse_recipients = "550 no such user"
            await made(ask(api))
            await until(failed, "the note")
            assert (await link())["mail_problem"] == "The mail server refused the recipient (550)."
        outputs += [str(row) for table in METADATA.sorted_tables for row in rows_of(api, table)]
        for path in ("admin/users:export", "admin/audit-events:export", "admin/users", "/metrics"):
            outputs.append((await api.admin.get(path)).response.text)
        outputs += [json.dumps(api.events(), default=str)]
        outputs += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name != "httpx"]
        assert [text[:80] for text in outputs if token in text or NEW in text] == []
        events = json.dumps(api.events("admin.session"), default=str)
        assert ADDRESS not in events


def rows_of(api: Api, table: sa.Table) -> list[Any]:
    with api.database.read() as connection:
        return list(connection.execute(sa.select(table)))


async def test_without_a_mailer_it_says_what_to_do(api: Api) -> None:
    refused = await ask(api)
    assert (refused.status, refused.reason) == (409, "CONFLICT")
    assert "Ask an admin" in refused.json["detail"]
    assert "forgot-password" not in (await api.anonymous.http.get("/login")).text


async def test_the_login_page_leads_there_with_a_mailer(mailing: Run) -> None:
    async with mailing(free_port()) as api:
        page = await api.anonymous.http.get("/login")
        assert '<a href="/forgot-password">Forgot your password?</a>' in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]


@on_both
async def test_the_how_to_page_leads_to_a_mail(mailing: Run) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "invite-by-mail.md").read_text()
    resetting = page.partition("\n## Let people reset")[2]
    ((path, body),) = re.findall(r"```http\nPOST (\S+)\n(.*?)```", resetting, re.DOTALL)
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            await person(api)
            await made(api.anonymous.post(path, json.loads(body)))
            await arrived(inbox)
            assert token_in(inbox, page="/reset-password")
