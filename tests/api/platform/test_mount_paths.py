"""The kind of fault: the guard judges one reading of a path, and what is mounted there serves another.

Every mount that takes the paths below its own reads them again by its own rules, so none is given a path that has more
than one reading. A new mount is tested by being there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from api.kernel.kinds.registry import Mount
from api.main import mounts
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator

OPEN = [mount for mount in mounts() if not mount.exact]
BELOW = (
    *(
        "/.",
        "/..",
        "/x/..",
        "/x/../y",
        "/./x",
        "//x",
        "/x//y",
        "/%2e",
        "/%2E%2E/x",
        "/x%2Fy",
        "/x%2fy",
        "/x%5Cy",
        "/x\\y",
    ),
    *("/x;y", "/x%3By", "/x%00", "/x%0A", "/%78", "/x%252e", "/x%c3%a9", "/x%FF"),
)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path, FakeOrchestrator()) as started:
        yield started


async def answered(api: Api, method: str, raw: str) -> tuple[int, Any]:
    """Status and body of the answer to a path that no client library would send so."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"headwater.test"), (b"authorization", f"Bearer {api.admin.token}".encode())]
    description = {
        "type": "http",
        "method": method,
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": b"",
    }
    where = {"scheme": "http", "http_version": "1.1", "root_path": "", "client": ("127.0.0.1", 1), "server": ("a", 1)}
    await api.app({**description, **where, "headers": headers, "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body)


@pytest.mark.parametrize("mount", OPEN, ids=lambda mount: mount.path)
async def test_no_mount_is_given_a_path_with_two_readings(api: Api, mount: Mount) -> None:
    # An application that splits the path before it decodes the segments has one reading of an escaped slash.
    for below in (one for one in BELOW if one != "/x%2Fy" or not mount.escaped_slashes):
        for method in ("GET", "POST", "DELETE"):
            status, body = await answered(api, method, f"{mount.path}{below}")
            # A mount with its own authentication refuses the caller before it looks at the path.
            refusals = {(400, "INVALID_ARGUMENT"), *([(401, "UNAUTHENTICATED")] if mount.authenticate else [])}
            assert (status, body["reason"]) in refusals, (method, below)


def test_there_are_such_mounts() -> None:
    assert {"/dagster", "/static", "/scim/v2", "/login/oidc"} <= {mount.path for mount in OPEN}
