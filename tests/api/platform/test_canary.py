"""No secret in any output: canaries go in wherever a secret does, and are looked for wherever anything comes out."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import sqlalchemy as sa

from core.db import METADATA
from tests.api.admin.tenants import made, user
from tests.api_process import Api, Caller

OUTPUTS = (
    *(
        "admin/users",
        "admin/api-keys",
        "admin/sessions",
        "admin/grants",
        "admin/roles",
        "admin/users:export",
        "operations",
    ),
    *("admin/users:export?format=csv", "admin/openapi.json", "admin/kinds", "/metrics", "/api/openapi"),
)


async def test_no_canary_comes_out(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canaries: dict[str, str] = {}
    answers: list[str] = []

    async def send(method: str, path: str, body: Any = None, *, caller: Caller | None = None, **headers: str) -> Any:
        return await (caller or api.admin)(method, f"/api/v1/{path}", json=body, headers=headers)

    id = await user(api, "ada")
    canaries["password"] = "canary-password-7f3a"
    await made(send("POST", "admin/users/ada:set-password", {"password": canaries["password"]}))
    login = (await send("POST", "admin/sessions:login", {"name": "ada", "password": canaries["password"]})).json
    canaries["session"] = login["token"]
    key = await made(send("POST", "admin/api-keys", {"label": "canary", "principal_id": id}))
    canaries["key"] = key["secret"]
    rotated = await made(send("POST", f"admin/api-keys/{key['id']}:rotate"))
    canaries["rotated"] = rotated["secret"]
    # Mistakes that put a secret where it does not belong.
    canaries["typed as a name"] = "canary-typed-as-name"
    canaries["wrong field"] = "canary-in-wrong-field"
    canaries["wrong type"] = "canary-of-wrong-type"
    mistakes = [
        await send("POST", "admin/sessions:login", {"name": canaries["typed as a name"], "password": "x" * 20}),
        await send("POST", "admin/users", {"name": "eve", "spec": {}, "password": canaries["wrong field"]}),
        await send("POST", "admin/users/ada:set-password", {"password": [canaries["wrong type"]]}),
        await send("POST", "admin/sessions:login", {"name": "ada", "password": canaries["password"] + "x"}),
        await send("GET", "admin/users", caller=api.anonymous, authorization=f"Bearer {canaries['key']}x"),
        await send("GET", "admin/users", caller=api.anonymous, authorization=f"Basic {canaries['key']}"),
        await send("POST", "admin/users/ada:set-password", {"password": "canary"}),
    ]
    assert {reply.status for reply in mistakes} <= {401, 403, 422}
    answers += [reply.response.text for reply in mistakes]
    for path in OUTPUTS:
        reply = await api.admin.get(path)
        assert reply.status == 200, path
        answers.append(reply.response.text)
    answers.append((await api.admin.get(f"admin/users/{id}/revisions")).response.text)
    with api.database.read() as connection:
        for table in METADATA.sorted_tables:
            answers += [str(tuple(row)) for row in connection.execute(sa.select(table))]
    answers += [str(event) for event in api.events()]
    answers += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name != "httpx"]
    found = {name for name, canary in canaries.items() if any(canary in answer for answer in answers)}
    assert found == set()
