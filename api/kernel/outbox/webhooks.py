"""Webhooks: endpoints of an organization that get its events, signed as Standard Webhooks."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials.sealing import Sealer, open_sealer
from api.kernel.http.tracing import hand_on
from api.kernel.outbox import deliveries
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.outbox.tables import WEBHOOK_ENDPOINT
from api.kernel.platform import Platform
from api.kernel.storage import store
from core import clock, egress, events
from core.errors import InvalidPayload, NotFound, Unavailable
from core.events import Recorded
from core.ids import new_id

if TYPE_CHECKING:
    import httpx

KIND = "admin.webhook_endpoint"
PREFIX = "webhook:"
"""Of the names of endpoints in the outbox."""

_TIMEOUT_SECONDS = 10.0
_GONE = 410


class WebhookState(StrEnum):
    """`DISABLED` gets nothing, and misses what happens meanwhile."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """One address that events are posted to."""

    id: str
    organization_id: str
    project_id: str | None
    url: str
    types: tuple[str, ...]
    secret: str
    """Sealed."""
    former_secret: str | None
    """Sealed; signs, too, while it is not `former_until`."""
    former_until: datetime | None
    state: WebhookState
    created_at: datetime

    @property
    def consumer(self) -> str:
        """Its name in the outbox."""
        return consumer_of(self.id)


def consumer_of(id: str) -> str:
    """The name of an endpoint in the outbox."""
    return f"{PREFIX}{id}"


def create(
    connection: Connection,
    sealer: Sealer,
    *,
    organization_id: str,
    url: str,
    types: Sequence[str],
    project_id: str | None = None,
    id: str = "",
) -> tuple[WebhookEndpoint, str]:
    """Stores an endpoint that gets the events from now on. Returns it and its signing secret, which is shown once.

    Raises:
        InvalidPayload: the URL is no plain http or https address.
    """
    require_address(url)
    id, secret = id or new_id("whk"), _new_secret()
    values = {"id": id, "organization_id": organization_id, "project_id": project_id, "url": url}
    kept = {"types": list(types), "secret": sealer.seal(secret, id), "state": WebhookState.ACTIVE.value}
    connection.execute(WEBHOOK_ENDPOINT.insert().values(**values, **kept, created_at=clock.now()))
    made = get(connection, id)
    deliveries.begin(connection, made.consumer, events.head(connection)[0])
    return made, secret


def change(connection: Connection, id: str, *, url: str, types: Sequence[str], project_id: str | None) -> None:
    """Changes where an endpoint is and what it gets.

    Raises:
        InvalidPayload: the URL is no plain http or https address.
    """
    require_address(url)
    values = {"url": url, "types": list(types), "project_id": project_id}
    connection.execute(WEBHOOK_ENDPOINT.update().where(WEBHOOK_ENDPOINT.c.id == id).values(**values))


def rotate_secret(connection: Connection, sealer: Sealer, id: str, overlap: timedelta = timedelta()) -> str:
    """Gives an endpoint another signing secret, which is shown once.

    The former one signs, too, for the overlap; one that was replaced earlier signs nothing any more.
    """
    secret = _new_secret()
    values: dict[str, Any] = {"secret": sealer.seal(secret, id), "former_secret": None, "former_until": None}
    if overlap:
        values |= {"former_secret": WEBHOOK_ENDPOINT.c.secret, "former_until": clock.now() + overlap}
    connection.execute(WEBHOOK_ENDPOINT.update().where(WEBHOOK_ENDPOINT.c.id == id).values(**values))
    return secret


def get(connection: Connection, id: str) -> WebhookEndpoint:
    """The endpoint with this id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(WEBHOOK_ENDPOINT).where(WEBHOOK_ENDPOINT.c.id == id)).first()
    if row is None:
        raise NotFound(f"There is no webhook endpoint {id!r}.")
    return _endpoint(row)


def active(connection: Connection) -> list[WebhookEndpoint]:
    """Every endpoint that gets events."""
    query = sa.select(WEBHOOK_ENDPOINT).where(WEBHOOK_ENDPOINT.c.state == WebhookState.ACTIVE.value)
    return [_endpoint(row) for row in connection.execute(query.order_by(WEBHOOK_ENDPOINT.c.id))]


def disable(connection: Connection, id: str) -> None:
    """Stops deliveries to an endpoint and forgets those that wait."""
    values = {"state": WebhookState.DISABLED.value}
    connection.execute(WEBHOOK_ENDPOINT.update().where(WEBHOOK_ENDPOINT.c.id == id).values(**values))
    deliveries.forget(connection, consumer_of(id))


def enable(connection: Connection, id: str) -> None:
    """Delivers again, from the next event on."""
    endpoint = get(connection, id)
    values = {"state": WebhookState.ACTIVE.value}
    connection.execute(WEBHOOK_ENDPOINT.update().where(WEBHOOK_ENDPOINT.c.id == id).values(**values))
    deliveries.begin(connection, endpoint.consumer, events.head(connection)[0])


def delete(connection: Connection, id: str) -> None:
    """Removes an endpoint with its deliveries."""
    connection.execute(WEBHOOK_ENDPOINT.delete().where(WEBHOOK_ENDPOINT.c.id == id))
    deliveries.forget(connection, consumer_of(id))


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(os.urandom(24)).decode()}"


def require_address(url: str) -> None:
    """Raises `InvalidPayload` unless this is a plain http or https address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise InvalidPayload(
            "A webhook needs an http or https URL with a host, without user name and fragment.",
            errors=[{"pointer": "/spec/url", "detail": "not such a URL"}],
        )


def _endpoint(row: sa.Row[*tuple[Any, ...]]) -> WebhookEndpoint:
    values = dict(row._mapping)
    return WebhookEndpoint(**values | {"types": tuple(values["types"]), "state": WebhookState(values["state"])})


class Sender:
    """Posts events. No redirects, no proxy, and the address that was judged is the one connected to."""

    def __init__(self, platform: Platform, *, private: bool) -> None:
        self._platform = platform
        self._private = private
        self._sealer = platform.part(open_sealer)
        self._client: httpx.AsyncClient | None = None

    async def subscribers(self) -> list[Subscriber]:
        """A consumer per active endpoint."""
        return [
            Subscriber(
                endpoint.consumer,
                endpoint.types,
                functools.partial(self.send, endpoint),
                organization_id=endpoint.organization_id,
                project_id=endpoint.project_id,
                begins=False,
                timeout_seconds=_TIMEOUT_SECONDS,
            )
            for endpoint in await self._platform.workers.read.run(self._active)
        ]

    async def close(self) -> None:
        """Closes its connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _current(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        """With the address and the secret that it has now: a batch may have been begun with others."""
        with self._platform.database.read() as connection:
            return get(connection, endpoint.id)

    def _active(self) -> list[WebhookEndpoint]:
        with self._platform.database.read() as connection:
            return active(connection)

    async def send(self, endpoint: WebhookEndpoint, item: Recorded) -> None:
        """Posts one event.

        Raises:
            Unavailable: it was not taken, and why.
        """
        import httpx

        endpoint = await self._platform.workers.read.run(self._current, endpoint)
        body = json.dumps(item.to_cloudevent(), separators=(",", ":"))
        headers = self._signed(endpoint, item.event.id, body)
        address = await self._address(endpoint.url)
        url = httpx.URL(endpoint.url)
        headers["host"] = url.netloc.decode()
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=_TIMEOUT_SECONDS,
                trust_env=False,
                follow_redirects=False,
                # Kept by address, a connection verified for one name would serve another name with that address.
                limits=httpx.Limits(max_keepalive_connections=0),
                event_hooks={"request": [hand_on]},
            )
        try:
            request = self._client.build_request(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers=headers,
                extensions={"sni_hostname": url.host},
            )
            answer = await self._client.send(request, stream=True)  # its body is of no interest, however long
            await answer.aclose()
        except httpx.HTTPError as error:
            raise Unavailable(f"The webhook endpoint did not answer ({type(error).__name__}).") from error
        if answer.status_code == _GONE:
            await self._platform.workers.write.run(self._disable, endpoint)
        elif not answer.is_success:
            raise Unavailable(f"The webhook endpoint answered {answer.status_code}; it must answer 2xx.")

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
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        resolve = functools.partial(egress.resolve, str(parts.hostname), port, private=self._private)
        try:
            # In the loop's own pool: a slow name server must not hold up the platform's work.
            return await asyncio.get_running_loop().run_in_executor(None, resolve)
        except PermissionError as error:
            raise Unavailable(
                "The webhook endpoint has a private address. Events are only sent to public ones, unless the operator "
                "allows private ones."
            ) from error
        except (OSError, UnicodeError) as error:
            raise Unavailable("The name of the webhook endpoint does not resolve.") from error

    def _disable(self, endpoint: WebhookEndpoint) -> None:
        """The endpoint said that it is gone for good."""
        facts = {"reason": "The endpoint answered 410."}
        scope = {"organization_id": endpoint.organization_id, "project_id": endpoint.project_id}
        with self._platform.database.write() as connection:
            disable(connection, endpoint.id)
            happened = events.Event("admin.webhook_endpoint.disabled", endpoint.id, "headwater", facts, **scope)  # type: ignore[arg-type]
            events.append(connection, happened)
            row = store.find(connection, KIND, endpoint.id, named=False, lock=True)
            if row is not None:
                status = json.dumps(json.loads(row.status) | {"state": WebhookState.DISABLED.value})
                after = replace(row, state=WebhookState.DISABLED.value, status=status, updated_at=clock.now())
                store.replace_row(connection, row, after, action=f"{KIND}.disable", request_id="")
