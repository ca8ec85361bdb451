"""Invitations by mail: the link works, what fails is told and tried again, and the token is left nowhere."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.gateways.mail import SmtpMailer
from api.kernel.breakers import Dependencies
from api.services.admin.login_tables import INVITATION
from core.settings import load_settings
from tests.api.admin.mailing import Run, arrived, handled, until
from tests.api.admin.mailing import token_in as linked
from tests.api.admin.tenants import made
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api
from tests.mail_server import Inbox, mail_server
from tests.ports import free_port


async def invite(api: Api, email: str = "zoe@example.org") -> dict[str, Any]:
    return await made(api.admin.post("admin/invitations", {"email": email}))


async def state(api: Api, id: str) -> dict[str, Any]:
    return await made(api.admin.get(f"admin/invitations/{id}"))


async def settled(api: Api, id: str, field: str) -> dict[str, Any]:
    async def holds() -> bool:
        return (await state(api, id))[field] is not None

    await until(holds, field)
    return await state(api, id)


def token_in(inbox: Inbox, number: int = -1) -> str:
    return linked(inbox, number, page="/invitation")


def stored(api: Api) -> list[Any]:
    with api.database.read() as connection:
        return list(connection.execute(sa.select(INVITATION)))


async def test_the_link_in_the_mail_makes_a_user(mailing: Run, tmp_path: Path) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            title = {"spec": {"title": "Zürich & Söhne"}}
            headers = {"content-type": "application/merge-patch+json"}
            await made(api.admin("PATCH", "admin/organizations/org_default", json=title, headers=headers))
            issued = await invite(api)
            await arrived(inbox)
            (mail,) = inbox.mails
            assert mail["subject"] == "Invitation to Zürich & Söhne"
            assert inbox.recipients == ["zoe@example.org"]
            assert "admin invites you to Zürich & Söhne" in mail.get_content()
            assert token_in(inbox) == issued["token"]
            remaining = await settled(api, issued["id"], "mailed_at")
            assert (remaining["state"], remaining["mail_problem"]) == ("PENDING", None)
            assert [row.sealed for row in stored(api)] == [None]
            page = await api.anonymous.http.get("/invitation")
            assert (page.status_code, "invitation.js" in page.text) == (200, True)
            acceptance = {"token": token_in(inbox), "name": "zoe", "password": PASSWORD}
            await made(api.anonymous.post("admin/invitations:accept", acceptance))
            await made(api.anonymous.post("admin/sessions:login", {"name": "zoe", "password": PASSWORD}))


@on_both
async def test_a_server_that_comes_back_gets_the_mail_once(
    mailing: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    async with mailing(port) as api:
        issued = await invite(api)
        failed = await settled(api, issued["id"], "mail_problem")
        assert "ConnectionRefusedError" in failed["mail_problem"]
        assert failed["mailed_at"] is None
        assert stored(api)[0].sealed
        (known,) = [one for one in api.app.platform.part(Dependencies).states() if one.name == "mail server"]
        assert known.failures > 0
        waiting: list[Any] = []

        async def put_back() -> bool:
            with api.database.read() as connection:
                waiting[:] = connection.exec_driver_sql("SELECT * FROM outbox_delivery").mappings().all()
            return bool(waiting)

        await until(put_back, "the delivery that is tried again")
        everything = [json.dumps(api.events(), default=str), str(waiting), str(stored(api)), caplog.text]
        everything += [path.read_bytes().decode("latin1") for path in tmp_path.glob("metadata.db*")]
        assert not [text for text in everything if issued["token"] in text], "the token is sealed until it is sent"
        with mail_server(port) as inbox:
            await arrived(inbox)
            assert (await settled(api, issued["id"], "mailed_at"))["mail_problem"] is None
            await asyncio.sleep(2)
            assert len(inbox.mails) == 1
            assert token_in(inbox) == issued["token"]


@on_both
async def test_what_was_refused_for_good_is_told_and_not_tried_again(mailing: Run) -> None:
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            inbox.refuse_recipients = "550 no such user"
            issued = await invite(api)
            failed = await settled(api, issued["id"], "mail_problem")
            assert failed["mail_problem"] == "The mail server refused the recipient (550)."
            assert (failed["mailed_at"], stored(api)[0].sealed) == (None, None)
            unsendable = await invite(api, "zoë,@example.org")
            failed = await settled(api, unsendable["id"], "mail_problem")
            assert failed["mail_problem"] == "The address is not a valid mail address."
            inbox.refuse_recipients = ""
            await asyncio.sleep(2)
            assert inbox.mails == []
            again = await made(api.admin.post(f"admin/invitations/{issued['id']}:resend"))
            await arrived(inbox)
            assert token_in(inbox) == again["token"] != issued["token"]


async def test_sending_again_mails_the_new_token_only(mailing: Run) -> None:
    port = free_port()
    async with mailing(port) as api:
        first = await invite(api)
        second = await made(api.admin.post(f"admin/invitations/{first['id']}:resend"))
        revoked = await invite(api, "eve@example.org")
        await made(api.admin.post(f"admin/invitations/{revoked['id']}:revoke"))
        with mail_server(port) as inbox:
            await arrived(inbox)
            await settled(api, first["id"], "mailed_at")
            await handled(api, "invitation-mail")
            assert [token_in(inbox, n) for n in range(len(inbox.mails))] == [second["token"]]
            assert inbox.recipients == ["zoe@example.org"]


async def test_without_a_mailer_everything_is_as_before(api: Api) -> None:
    issued = await invite(api)
    assert issued["mail_problem"] == "The platform has no mail server. Pass the token on yourself."
    assert (issued["mailed_at"], stored(api)[0].sealed) == (None, None)


@on_both
async def test_the_how_to_page_leads_to_a_mail(mailing: Run, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "invite-by-mail.md").read_text()
    (variables,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    pairs = dict(line.split("=", 1) for line in shlex.split(variables))
    assert SmtpMailer.from_settings(load_settings({"HEADWATER_HOME": str(tmp_path), **pairs}))
    with mail_server(free_port()) as inbox:
        async with mailing(inbox.port) as api:
            id, answers = "", []
            inviting = page.partition("\n## Let people reset")[0]
            for method, path, body in re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", inviting, re.DOTALL):
                headers = {"content-type": "application/json"} if body else {}
                reply = await made(api.admin(method, path.replace("{invitation}", id), content=body, headers=headers))
                answers.append(reply)
                id = reply["id"]
                await arrived(inbox)
            await arrived(inbox, 2)
            assert {token_in(inbox, 0), token_in(inbox, 1)} == {answers[0]["token"], answers[2]["token"]}
