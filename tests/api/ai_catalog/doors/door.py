"""A door to the rows of a table: an operation that returns rows or values, with what it needs to be asked."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.api.ai_catalog.policies import PEOPLE, SECRETS, Office
from tests.api_process import Caller
from tests.conformance.operations import REGISTRY
from tests.orchestration import FakeOrchestrator

ASSET = f"ai-catalog/assets/{PEOPLE}"
ARROW = {"accept": "application/vnd.apache.arrow.stream"}
PARQUET = {"accept": "application/vnd.apache.parquet"}
MAIL = b"secret-mail-ada"
HIDDEN = b"4242"
ERROR = "could not convert secret-mail-ada"
SET, INDEX, COPY = "flights.training.people", "flights.index.mails", "flights.gold.copy"


@dataclass(frozen=True)
class Answer:
    """The status, the bytes, and the reason of a refusal."""

    status: int
    content: bytes
    detail: str = ""
    of: str = ""
    """Id of the operation that answered, or the path of the protocol."""

    @property
    def leaked(self) -> list[bytes]:
        return [secret for secret in SECRETS if secret in self.content]


Ask = Callable[[Caller], Awaitable[Answer]]
Prepare = Callable[[Office], Awaitable[Ask]]


@dataclass(frozen=True)
class Door:
    """A door.

    Args:
        prepare: makes what it needs, and returns how a caller asks.
        of: id of the operation that is asked, or the path of the protocol. The answer must be from it.
        evidence: what an unrestricted reader gets: a value of the masked column, the hidden row, or a fact of them.
        applies: whether a restricted reader gets an answer without what is hidden. Otherwise it is refused.
        refusal: status and text of the refusal.
        hides: what the policy hides, if it is not the mails and the row of `people`.
    """

    prepare: Prepare
    of: str
    evidence: bytes
    applies: bool
    refusal: tuple[int, str]
    hides: dict[str, Any]


DOORS: dict[str, Door] = {}
POLICY = (403, "policy restricts")


def door(
    name: str,
    of: str,
    evidence: bytes = MAIL,
    *,
    applies: bool = False,
    refusal: tuple[int, str] = POLICY,
    hides: dict[str, Any] | None = None,
) -> Callable[[Prepare], Prepare]:
    def add(prepare: Prepare) -> Prepare:
        assert name not in DOORS
        DOORS[name] = Door(prepare, of, evidence, applies, refusal, hides or {})
        return prepare

    return add


def asking(
    method: str,
    path: str | Callable[[], str],
    body: Any = None,
    headers: dict[str, str] | None = None,
    decode: Callable[[bytes], bytes] = bytes,
) -> Ask:
    """Asks one operation. A path or body that is a function is made for each request."""

    async def ask(caller: Caller) -> Answer:
        target, content = (one() if callable(one) else one for one in (path, body))
        further = {"json": content} if content is not None else {}
        reply = await caller(method, target, headers=headers or {}, **further)
        detail = reply.json.get("detail", "") if reply.status >= 400 else ""
        errors = reply.json.get("errors", "") if reply.status >= 400 else ""
        content = reply.response.content
        content = content if reply.status >= 400 else decode(content)
        return Answer(reply.status, content, f"{detail} {errors}", caller_operation(method, target))

    return ask


def mounted(method: str, path: str, **options: Any) -> Ask:
    """Asks a path outside of the API."""

    async def ask(caller: Caller) -> Answer:
        response = await caller.http.request(method, path, **options)
        detail = response.text if response.status_code >= 400 else ""
        return Answer(response.status_code, response.content, detail, f"/{path.split('/')[1]}")

    return ask


def caller_operation(method: str, path: str) -> str:
    """Returns the id of the operation of a path below `/api/v1/`."""
    found = REGISTRY.find(f"/api/v1/{path.partition('?')[0]}")
    endpoint = found.endpoint(method) if found else None
    assert endpoint is not None, path
    return endpoint.operation_id


def numbered() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda text: f"{text}{next(numbers)}"


def fake(office: Office) -> FakeOrchestrator:
    orchestrator = office.api.app.platform.orchestrator
    assert isinstance(orchestrator, FakeOrchestrator)
    return orchestrator
