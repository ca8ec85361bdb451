"""A pooled GraphQL client for the Dagster webserver on loopback."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec

from api.kernel.breakers import Dependency
from api.kernel.http.tracing import hand_on
from core.errors import HeadwaterError, LaunchUnconfirmed, Unavailable
from core.settings import Settings

READ_SECONDS = 20.0
CHANGE_SECONDS = 40.0
"""Longer than a launch takes on a busy machine; shorter than after which an unseen launch counts as none."""

MARGIN_SECONDS = 8.0
"""For the connection and an answer that trickles in; after that the whole call is given up."""

OPEN_SECONDS = 1.0
"""How long Dagster is left alone. Short: it is on loopback, and whoever waits for its start looks all the time."""


class DagsterClient:
    """Sends GraphQL documents. Create it inside the running event loop's process; connections open on first use."""

    def __init__(self, url: str) -> None:
        self.dependency = Dependency(
            "Dagster",
            timeout_seconds=READ_SECONDS + MARGIN_SECONDS,
            is_failure=_speaks_against,
            open_seconds=OPEN_SECONDS,
        )
        # No TLS context and no proxy from the environment: this is loopback.
        self._http = httpx.AsyncClient(
            base_url=url,
            verify=False,  # noqa: S501 - plain HTTP on loopback
            trust_env=False,
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=30),
            event_hooks={"request": [hand_on]},
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> DagsterClient:
        """The client of this platform's webserver."""
        return cls(f"{settings.effective_dagster_url}/dagster")

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def read(self, document: str, **variables: Any) -> Any:
        """Answers a query.

        Raises:
            Unavailable: Dagster does not answer or not with data, or did not so often that it is left alone.
        """
        try:
            return await self.dependency.call(lambda: self._send(document, variables, READ_SECONDS), idempotent=True)
        except (httpx.TransportError, TimeoutError) as error:
            raise _away() from error

    async def change(self, document: str, **variables: Any) -> Any:
        """Carries out a mutation.

        Raises:
            Unavailable: Dagster does not answer; nothing was done.
            LaunchUnconfirmed: it was sent, but the answer never came.
        """
        try:
            # Never sent twice: a launch that was not confirmed may have happened.
            return await self.dependency.call(
                lambda: self._send(document, variables, CHANGE_SECONDS),
                idempotent=False,
                timeout_seconds=CHANGE_SECONDS + MARGIN_SECONDS,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _away() from error
        except (httpx.TransportError, TimeoutError) as error:
            raise LaunchUnconfirmed(
                "Dagster was told, but its answer did not come. Look again in a moment whether it was done.",
                retry_after_seconds=5,
            ) from error

    async def _send(self, document: str, variables: dict[str, Any], seconds: float) -> Any:
        body = msgspec.json.encode({"query": document, "variables": variables})
        timeout = httpx.Timeout(seconds, connect=2.0, pool=5.0)
        headers = {"content-type": "application/json"}
        response = await self._http.post("/graphql", content=body, headers=headers, timeout=timeout)
        try:
            # A view of thousands of assets is megabytes: decoding that on the loop would hold everybody up.
            small = len(response.content) < 200_000
            answer = _decode(response.content) if small else await asyncio.to_thread(_decode, response.content)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"Dagster answered {response.status_code} without data.", retry_after_seconds=2
            ) from error
        if answer.get("errors"):
            text = str(answer["errors"][0].get("message", ""))[:300]
            raise Unavailable(f"Dagster could not answer: {text}", retry_after_seconds=2)
        return answer["data"]


def refusal(answer: Any, fallback: type[HeadwaterError]) -> HeadwaterError:
    """The error in a GraphQL result that is no success."""
    faults = [fault["message"] for fault in answer.get("errors", ())] or [answer.get("message", answer["__typename"])]
    # The first line only: the rest of Dagster's messages are stack traces.
    text = "; ".join(str(fault).strip().split("\n")[0] for fault in faults)
    return fallback(text.removeprefix("dagster._core.errors."))


def _decode(content: bytes) -> Any:
    return msgspec.json.decode(content)


def _speaks_against(error: BaseException) -> bool:
    # What Dagster answers, even an error, shows that it is there.
    return isinstance(error, httpx.TransportError)


def _away() -> Unavailable:
    return Unavailable("Dagster does not answer. It may be starting; see `headwater status`.", retry_after_seconds=2)
