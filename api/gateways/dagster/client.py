"""A pooled GraphQL client for the Dagster webserver on loopback."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec

from api.kernel.breakers import Dependency
from api.kernel.http.trace_context import propagate
from core.errors import HeadwaterError, LaunchUnconfirmed, Unavailable
from core.loopback import HEADER, loopback_key
from core.settings import Settings

READ_SECONDS = 20.0
CHANGE_SECONDS = 40.0
"""Longer than a launch on a busy machine, and shorter than the time after which an unconfirmed launch is given up."""

MARGIN_SECONDS = 8.0
"""Additional time of a call for the connection and for a slow response body."""

OPEN_SECONDS = 1.0
"""Time without calls after failures. It is short because Dagster is on loopback, and callers wait for its start."""


class DagsterClient:
    """A client that sends GraphQL documents. It opens connections on first use.

    Args:
        url: address of the GraphQL API.
        key: the key that the guard of the webserver requires; empty if it has no guard.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self.dependency = Dependency(
            "Dagster",
            timeout_seconds=READ_SECONDS + MARGIN_SECONDS,
            is_failure=_is_failure,
            open_seconds=OPEN_SECONDS,
        )
        # Loopback needs neither a TLS context nor a proxy.
        self._http = httpx.AsyncClient(
            base_url=url,
            verify=False,  # noqa: S501 - plain HTTP on loopback
            trust_env=False,
            headers={HEADER: key} if key else {},
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=30),
            event_hooks={"request": [propagate]},
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> DagsterClient:
        """Returns the client of the webserver of this platform."""
        return cls(f"{settings.effective_dagster_url}/dagster", loopback_key(settings.keys_dir))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def read(self, document: str, **variables: Any) -> Any:
        """Runs a query and returns its data.

        Raises:
            Unavailable: Dagster does not respond, responds without data, or failed too often recently.
        """
        try:
            return await self.dependency.call(lambda: self._send(document, variables, READ_SECONDS), idempotent=True)
        except (httpx.TransportError, TimeoutError) as error:
            raise _unavailable() from error

    async def change(self, document: str, **variables: Any) -> Any:
        """Runs a mutation and returns its data.

        Raises:
            Unavailable: Dagster does not respond; nothing was changed.
            LaunchUnconfirmed: the mutation was sent, but Dagster did not respond.
        """
        try:
            # Not retried: an unconfirmed launch may have started a run.
            return await self.dependency.call(
                lambda: self._send(document, variables, CHANGE_SECONDS),
                idempotent=False,
                timeout_seconds=CHANGE_SECONDS + MARGIN_SECONDS,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _unavailable() from error
        except (httpx.TransportError, TimeoutError) as error:
            raise LaunchUnconfirmed(
                "The request was sent to Dagster, but it did not respond. Check in a moment whether it took effect.",
                retry_after_seconds=5,
            ) from error

    async def _send(self, document: str, variables: dict[str, Any], seconds: float) -> Any:
        body = msgspec.json.encode({"query": document, "variables": variables})
        timeout = httpx.Timeout(seconds, connect=2.0, pool=5.0)
        headers = {"content-type": "application/json"}
        response = await self._http.post("/graphql", content=body, headers=headers, timeout=timeout)
        try:
            # Decoding megabytes, such as thousands of assets, would block the event loop.
            small = len(response.content) < 200_000
            answer = _decode(response.content) if small else await asyncio.to_thread(_decode, response.content)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"Dagster responded with {response.status_code} and no data.", retry_after_seconds=2
            ) from error
        if answer.get("errors"):
            text = str(answer["errors"][0].get("message", ""))[:300]
            raise Unavailable(f"Dagster responded with an error: {text}", retry_after_seconds=2)
        return answer["data"]


def refusal(answer: Any, fallback: type[HeadwaterError]) -> HeadwaterError:
    """Returns the error in an unsuccessful GraphQL result."""
    faults = [fault["message"] for fault in answer.get("errors", ())] or [answer.get("message", answer["__typename"])]
    # Only the first line, because Dagster's messages continue with stack traces.
    text = "; ".join(str(fault).strip().split("\n")[0] for fault in faults)
    return fallback(text.removeprefix("dagster._core.errors."))


def _decode(content: bytes) -> Any:
    return msgspec.json.decode(content)


def _is_failure(error: BaseException) -> bool:
    # Any response, even an error, shows that Dagster is available.
    return isinstance(error, httpx.TransportError)


def _unavailable() -> Unavailable:
    return Unavailable("Dagster does not respond. It may be starting; see `headwater status`.", retry_after_seconds=2)
