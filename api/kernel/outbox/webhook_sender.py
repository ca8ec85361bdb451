"""The sender of webhooks: it posts events to endpoints, signed according to Standard Webhooks."""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from api.kernel.credentials.sealing import open_sealer
from api.kernel.http.trace_context import propagate
from api.kernel.outbox import webhooks
from api.kernel.outbox.subscriber import Backoff, Subscriber
from api.kernel.outbox.webhooks import WebhookEndpoint, WebhookState
from api.kernel.platform import Platform
from api.kernel.storage import store
from core import clock, egress, events
from core.addresses import parse_address
from core.errors import Unavailable
from core.events import RecordedEvent

if TYPE_CHECKING:
    import httpx

MAX_ATTEMPTS = 15
BACKOFF = Backoff(growth=3.0, maximum=timedelta(hours=12))
"""Delays from one second to 12 hours. With `MAX_ATTEMPTS`, an endpoint may be unavailable for at least 28 hours."""

_TIMEOUT_SECONDS = 10.0
_GONE = 410


class WebhookSender:
    """A client that posts events without redirects or proxies. It connects to the address that it checked."""

    def __init__(self, platform: Platform, *, private: bool) -> None:
        self._platform = platform
        self._private = private
        self._sealer = platform.part(open_sealer)
        self._client: httpx.AsyncClient | None = None

    async def subscribers(self) -> list[Subscriber]:
        """Returns a subscriber for each active endpoint."""
        return [
            Subscriber(
                endpoint.consumer,
                endpoint.types,
                functools.partial(self.send, endpoint),
                organization_id=endpoint.organization_id,
                project_id=endpoint.project_id,
                creates_cursor=False,
                max_attempts=MAX_ATTEMPTS,
                backoff=BACKOFF,
                timeout_seconds=_TIMEOUT_SECONDS,
            )
            for endpoint in await self._platform.workers.read.run(self._active)
        ]

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _current(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        """Returns the endpoint with its current URL and secret, which may have changed since the batch started."""
        with self._platform.database.read() as connection:
            return webhooks.get(connection, endpoint.id)

    def _active(self) -> list[WebhookEndpoint]:
        with self._platform.database.read() as connection:
            return webhooks.active(connection)

    async def send(self, endpoint: WebhookEndpoint, item: RecordedEvent) -> None:
        """Posts one event.

        Raises:
            Unavailable: the endpoint did not accept the event.
        """
        import httpx

        endpoint = await self._platform.workers.read.run(self._current, endpoint)
        body = json.dumps(item.to_cloudevent(), separators=(",", ":"))
        headers = self._signed(endpoint, item.event.id, body)
        address = await self._address(endpoint.url)
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=_TIMEOUT_SECONDS,
                verify=egress.tls_context(),
                trust_env=False,
                follow_redirects=False,
                # The client stores cookies by address and would send them to other endpoints with the same address.
                cookies=egress.no_cookies(),
                # A connection that was verified for one name must not serve another name with the same address.
                limits=httpx.Limits(max_keepalive_connections=0),
                event_hooks={"request": [propagate]},
            )
        try:
            url = httpx.URL(endpoint.url)
            headers["host"] = url.netloc.decode()
            request = self._client.build_request(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers=headers,
                extensions={"sni_hostname": url.host},
            )
            response = await self._client.send(request, stream=True)  # the body is not read
            await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"The webhook endpoint did not respond ({type(error).__name__}).") from error
        if response.status_code == _GONE:
            await self._platform.workers.write.run(self._disable, endpoint)
        elif not response.is_success:
            raise Unavailable(f"The webhook endpoint responded with {response.status_code}. It must respond with 2xx.")

    def _signed(self, endpoint: WebhookEndpoint, id: str, body: str) -> dict[str, str]:
        from standardwebhooks import Webhook

        now = clock.now()
        sealed = [endpoint.secret]
        if endpoint.former_secret and endpoint.former_until and now < endpoint.former_until:
            sealed.append(endpoint.former_secret)
        signatures = [Webhook(self._sealer.unseal(secret, endpoint.id)).sign(id, now, body) for secret in sealed]
        return {
            "content-type": "application/cloudevents+json",
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    async def _address(self, url: str) -> str:
        try:
            parts = parse_address(url)
        except ValueError:  # stored by an earlier release
            raise Unavailable("The URL of the webhook endpoint is not valid. Change it.") from None
        port = parts.port or (443 if parts.scheme == "https" else 80)
        resolve = functools.partial(egress.resolve, str(parts.hostname), port, private=self._private)
        try:
            # In the thread pool of the event loop, so that a slow name server does not block the pools of the platform.
            return await asyncio.get_running_loop().run_in_executor(None, resolve)
        except PermissionError as error:
            raise Unavailable(
                "The webhook endpoint has a private address. Events are sent to public addresses only, unless the "
                "operator allows private ones."
            ) from error
        except (OSError, UnicodeError) as error:
            raise Unavailable("The name of the webhook endpoint does not resolve.") from error

    def _disable(self, endpoint: WebhookEndpoint) -> None:
        """Disables an endpoint that responded with 410 (Gone)."""
        facts = {"reason": "The endpoint responded with 410."}
        scope = {"organization_id": endpoint.organization_id, "project_id": endpoint.project_id}
        with self._platform.database.write() as connection:
            webhooks.disable(connection, endpoint.id)
            event = events.Event("admin.webhook_endpoint.disabled", endpoint.id, "headwater", facts, **scope)  # type: ignore[arg-type]
            events.append(connection, event)
            row = store.find(connection, webhooks.KIND, endpoint.id, within=None, lock=True)
            if row is not None:
                status = json.dumps(json.loads(row.status) | {"state": WebhookState.DISABLED.value})
                after = replace(row, state=WebhookState.DISABLED.value, status=status, updated_at=clock.now())
                store.replace_row(connection, row, after, action=f"{webhooks.KIND}.disable", request_id="")
