"""The requests of the how-to page, sent as they stand there, and then a login."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from tests.api.admin.identity_provider import ADA, running_provider, sign_in
from tests.api_process import Caller, running
from tests.orchestration import FakeOrchestrator

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "single-sign-on.md").read_text()
REQUESTS = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.filterwarnings("ignore:get_jwt_config")
async def test_the_page_leads_to_a_login(tmp_path: Path) -> None:
    with running_provider() as provider:
        async with running(tmp_path, FakeOrchestrator(), HEADWATER_PRIVATE_SOURCES="true") as api:
            ids: dict[str, str] = {}
            answers = []
            for method, path, body in REQUESTS:
                text = body.replace("https://login.example.org", provider.issuer)
                for name, id in ids.items():
                    path, text = path.replace(f"{{{name}}}", id), text.replace(f"{{{name}}}", id)
                headers = {"content-type": "application/json"}
                reply = await api.admin(method, path, content=text, headers=headers)
                assert reply.status in (200, 201), (path, reply.response.text)
                answers.append(reply.json)
                if "kind" in reply.json:
                    ids[reply.json["kind"].partition(".")[2]] = reply.json["id"]
            assert len(answers) == 7
            reachable, preview = answers[4], answers[5]
            assert reachable["problem"] is None
            assert (preview["name"], preview["groups"]) == ("ada", [ids["group"]])
            provider.claim("s-ada", **ADA)
            browser = Caller(api.app, None)
            assert (await sign_in(browser, provider)).status == 303
            assert (await browser.get("admin/projects")).status == 200
            (command,) = re.findall(r"```sh\n(curl .*?)```", PAGE, re.DOTALL)
            words = shlex.split(command.replace("$ID_TOKEN", await provider.id_token("s-ada")))
            form = dict(word.split("=", 1) for flag, word in pairwise(words) if flag == "-d")
            issued = await browser.http.post("/oauth/token", data=form)
            assert issued.status_code == 200, issued.text
            assert (await Caller(api.app, issued.json()["access_token"]).get("admin/projects")).status == 200
            await browser.http.aclose()
