"""The requests and the receiver of the how-to page, as they stand there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.admin.tenants import user
from tests.api_process import running
from tests.orchestration import FakeOrchestrator
from tests.receiver import receiving

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "receive-webhooks.md").read_text()
REQUESTS = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", PAGE, re.DOTALL)
[PROGRAM] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


async def test_the_page_leads_to_an_event_that_its_receiver_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module: dict[str, Any] = {}
    exec(compile(PROGRAM, "receive-webhooks.md", "exec"), module)
    receive: Callable[..., int] = module["receive"]
    with receiving() as receiver:
        async with running(tmp_path, FakeOrchestrator(), HEADWATER_PRIVATE_SOURCES="true") as api:
            id, secret = "", ""
            for method, path, body in REQUESTS:
                content = body.replace("https://hooks.example.org/headwater", receiver.url)
                headers = {"content-type": "application/json"}
                reply = await api.admin(
                    method, path.replace("{webhook_endpoint}", id), content=content or None, headers=headers
                )
                assert reply.status in (200, 201), (path, reply.response.text)
                id = reply.json.get("id", id)
                secret = reply.json.get("secret", secret)
                assert reply.json.get("problem") is None
            await user(api, "grace")
            async with asyncio.timeout(60):
                while len(receiver.requests) < 2:
                    await asyncio.sleep(0.02)
        (_, trial), (headers, event) = receiver.requests[:2]
        assert b"admin.webhook_endpoint.test" in trial
        seen: set[str] = set()
        assert [receive(headers, event, secret, seen) for _ in range(2)] == [204, 204]
        assert receive(headers, event + b" ", secret, seen) == 401
    assert capsys.readouterr().out.count("admin.user.created") == 1
