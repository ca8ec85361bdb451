"""Asks a connector in a separate process, with a deadline for each step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from connectors import starting
from connectors.connector import Column, Config, Connector, Found, Listing, Page
from connectors.egress import Egress
from connectors.storage import Location, Vended, Vending
from core.errors import Conflict, Unavailable

START_SECONDS = 20.0
"""How long the process may take until its first step, on a busy machine."""

LIST_SECONDS = 55.0
ROTATE_SECONDS = 30.0
INSPECT_SECONDS = 50.0
VEND_SECONDS = 30.0
_LINE_BYTES = 64 << 20
_PLACES = asyncio.Semaphore(8)
"""How many processes of connectors this process has at a time."""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of a step."""

    name: str
    title: str
    state: str
    """PASSED, FAILED, or SKIPPED."""
    reason: str
    """A constant that says why it failed. Empty if it didn't."""
    detail: str
    milliseconds: int | None


async def test(connector: Connector, config: Config, egress: Egress) -> list[StepOutcome]:
    """Runs the steps of a test. The first one that fails ends it; the others are skipped."""
    outcomes: list[StepOutcome] = []
    async with _Process(connector, config, egress, {"do": "test"}) as process:
        for number, step in enumerate(connector.steps_of(config)):
            if outcomes and outcomes[-1].state != "PASSED":
                outcomes.append(StepOutcome(step.name, step.title, "SKIPPED", "", "", None))
                continue
            try:
                line = await process.line(step.seconds + (START_SECONDS if number == 0 else 0))
            except TimeoutError:
                detail = f"This took longer than {step.seconds:g} s, so it was ended."
                outcomes.append(StepOutcome(step.name, step.title, "FAILED", "DEADLINE_EXCEEDED", detail, None))
                continue
            if reason := line.get("failed"):
                outcomes.append(StepOutcome(step.name, step.title, "FAILED", reason, line["detail"], None))
            else:
                passed = StepOutcome(step.name, step.title, "PASSED", "", line["detail"], line["milliseconds"])
                outcomes.append(passed)
    return outcomes


async def found(connector: Connector, config: Config, egress: Egress, listing: Listing) -> Page:
    """Returns a page of what the system has.

    Raises:
        Conflict: the system refused.
        Unavailable: it took too long.
    """
    line = await _answer(connector, config, egress, {"do": "list", **asdict(listing)}, LIST_SECONDS)
    return Page([_found(item) for item in line["items"]], line["next"])


async def inspected(
    connector: Connector, config: Config, egress: Egress, question: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the answer to a question about the system. Raises as `found`."""
    request = {"do": "inspect", "question": question, "arguments": dict(arguments)}
    answer: dict[str, Any] = (await _answer(connector, config, egress, request, INSPECT_SECONDS))["answer"]
    return answer


async def rotate(connector: Connector, config: Config, egress: Egress, fresh: Mapping[str, str]) -> None:
    """Makes the system accept new secrets. Raises as `found`."""
    await _answer(connector, config, egress, {"do": "rotate", "fresh": dict(fresh)}, ROTATE_SECONDS)


async def vend(location: Location, config: Config, egress: Egress, vending: Vending, *, urls: bool = False) -> Vended:
    """Returns temporary keys for a path of a location, or `urls` of an object. Raises as `found`."""
    request = {"do": "presign" if urls else "vend", **asdict(vending)}
    line = await _answer(location, config, egress, request, VEND_SECONDS)
    return Vended(line["values"], line["key_id"], line["expires_at"])


def _found(item: dict[str, Any]) -> Found:
    columns = tuple(Column(**column) for column in item["columns"])
    return Found(**item | {"path": tuple(item["path"]), "columns": columns, "key": tuple(item["key"])})


async def _answer(
    connector: Connector, config: Config, egress: Egress, request: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    async with _Process(connector, config, egress, request) as process:
        try:
            line = await process.line(START_SECONDS + seconds)
        except TimeoutError as error:
            raise Unavailable(f"The system did not answer within {seconds:g} s. Try again, or ask for less.") from error
    if reason := line.get("failed"):
        raise Conflict(line["detail"], metadata={"cause": reason})
    return line


class _Process:
    """A process of a connector, which ends with the block."""

    def __init__(self, connector: Connector, config: Config, egress: Egress, request: Mapping[str, Any]) -> None:
        self._request = starting.request(connector, config, egress, request)

    async def __aenter__(self) -> _Process:
        await _PLACES.acquire()
        try:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *starting.COMMAND,
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL,
                env=starting.environment(),
                limit=_LINE_BYTES,
            )
        except BaseException:
            _PLACES.release()
            raise
        assert self._process.stdin
        self._process.stdin.write(self._request)
        self._process.stdin.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
        finally:
            _PLACES.release()

    async def line(self, seconds: float) -> dict[str, Any]:
        """Returns the next line.

        Raises:
            TimeoutError: none came in time.
        """
        assert self._process.stdout
        async with asyncio.timeout(seconds):
            text = await self._process.stdout.readline()
        if not text:
            return {"failed": "CONNECTOR_FAILED", "detail": "The process of the connector ended. Try again."}
        line: dict[str, Any] = json.loads(text)
        return line
