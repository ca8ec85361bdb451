"""Webhook endpoints: programs outside that are told what happens in an organization."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import ORGANIZATION, PROJECT, Unit
from api.kernel.models import Model, Query, Request
from api.kernel.outbox import deliveries, webhooks
from api.kernel.outbox.tables import OUTBOX_DELIVERY
from api.kernel.outbox.webhooks import WebhookState
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage import store
from core.errors import InvalidPayload, Unavailable
from core.events import EVENT, Event, Recorded

SEES = "admin.audit_event.get"
"""An endpoint gets what its maker could read in the audit trail."""

EventType = Annotated[str, Field(max_length=128, pattern=r"^(\*|[a-z_]+(\.[a-z_]+)*(\.\*)?)$")]
_MOST_DELIVERIES = 1000


class WebhookEndpointSpec(Spec):
    """Where events go, and which."""

    url: Annotated[str, Field(max_length=2000, examples=["https://hooks.example.org/headwater"])]
    """Address that each event is posted to."""

    types: Annotated[list[EventType], Field(min_length=1, max_length=100)] = ["*"]
    """Types of events; `*` at the end stands for anything: `admin.user.created`, `admin.*`, `*`."""

    project_id: Annotated[str, Field(max_length=64)] | None = None
    """Only events of this project of the organization."""

    description: Text = ""
    """What it is for."""


class WebhookEndpointStatus(Status):
    """How an endpoint is."""

    state: WebhookState = WebhookState.ACTIVE
    """A DISABLED endpoint gets nothing, and misses what happens meanwhile. One that answers 410 is disabled."""


class WebhookEndpoint(Resource[WebhookEndpointSpec, WebhookEndpointStatus]):
    """An address that gets the events of an organization or project, signed as Standard Webhooks."""


class SecretRotation(Request):
    """How to change over to another secret."""

    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 86_400
    """How long the former secret signs, too, so that receivers can change over; 0 if it may be known to others."""


class SigningSecret(Model):
    """What the receiver verifies signatures with."""

    secret: str
    """The secret, `whsec_...`; shown only in this answer."""

    former_until: datetime | None
    """Until when events carry a signature of the former secret as well; null if they do not."""


class WebhookDelivery(Model):
    """An event that the endpoint has not taken."""

    sequence: int
    """Its number in the order of all events."""

    event_id: str
    """Its id, the `webhook-id` it is sent under."""

    type: str
    """What happened."""

    subject: str
    """What it happened to. Later events of the same subject wait for this one."""

    state: deliveries.DeliveryState
    """PENDING is tried again; DEAD was given up."""

    attempts: int
    """How often it was sent."""

    next_at: datetime
    """When it is sent again, if it is PENDING."""

    last_error: str
    """Why it was not taken."""


class WebhookDeliveries(Model):
    """What an endpoint has not taken."""

    items: list[WebhookDelivery]
    """The oldest thousand of them."""


class Redelivery(Request):
    """Which events to send again."""

    sequences: Annotated[list[int], Field(max_length=1000)] | None = None
    """Numbers of events that were given up; all of them by default."""


class Redelivered(Model):
    """What is sent again."""

    count: int
    """How many events."""


class WebhookTest(Model):
    """How a trial went."""

    problem: str | None
    """Why the endpoint did not take it; null if it did."""


WEBHOOK_ENDPOINT = ResourceKind(
    WebhookEndpoint,
    plural="webhook-endpoints",
    prefix="whk",
    level=Level.ORGANIZATION,
    filter_by=("spec.url", "spec.project_id"),
    writers=Role.ADMIN,
    readers=Role.ADMIN,
)


@WEBHOOK_ENDPOINT.validate
def require_sight(unit: Unit, endpoint: WebhookEndpoint, before: WebhookEndpoint | None) -> None:
    """Who makes or changes one must be allowed to read the events that it gets."""
    webhooks.require_address(endpoint.spec.url)
    unit.require(SEES, _place(unit, endpoint))


@WEBHOOK_ENDPOINT.after("create")
def begin(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """It gets what happens from now on, signed with a secret that nobody has seen yet."""
    webhooks.create(
        unit.connection,
        unit.platform.part(open_sealer),
        id=endpoint.id,
        organization_id=str(endpoint.organization_id),
        url=endpoint.spec.url,
        types=endpoint.spec.types,
        project_id=endpoint.spec.project_id,
    )


@WEBHOOK_ENDPOINT.after("update")
def follow(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """What waits goes to the new address."""
    spec = endpoint.spec
    webhooks.change(unit.connection, endpoint.id, url=spec.url, types=spec.types, project_id=spec.project_id)


@WEBHOOK_ENDPOINT.after("delete")
def end(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Nothing is sent any more, not even what waits."""
    webhooks.disable(unit.connection, endpoint.id)


@WEBHOOK_ENDPOINT.after("restore")
def begin_again(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """It gets what happens from now on, signed as before."""
    if endpoint.status.state is WebhookState.ACTIVE:
        webhooks.enable(unit.connection, endpoint.id)


@WEBHOOK_ENDPOINT.transition(
    "disable", request=Request, sources=(WebhookState.ACTIVE,), to=WebhookState.DISABLED, past="disabled"
)
def disable_webhook_endpoint(unit: Unit, endpoint: WebhookEndpoint, request: Request) -> None:
    """Stops deliveries and forgets those that wait. What happens meanwhile is missed."""
    webhooks.disable(unit.connection, endpoint.id)


@WEBHOOK_ENDPOINT.transition(
    "enable", request=Request, sources=(WebhookState.DISABLED,), to=WebhookState.ACTIVE, past="enabled"
)
def enable_webhook_endpoint(unit: Unit, endpoint: WebhookEndpoint, request: Request) -> None:
    """Delivers again, from the next event on."""
    webhooks.enable(unit.connection, endpoint.id)


@WEBHOOK_ENDPOINT.command(
    "rotate-secret", request=SecretRotation, result=SigningSecret, past="secret_rotated", secret=True
)
def rotate_secret(unit: Unit, endpoint: WebhookEndpoint, request: SecretRotation) -> SigningSecret:
    """Makes another signing secret and shows it, this once. For the overlap the former one signs, too.

    One that was replaced before that signs nothing any more.
    """
    overlap = timedelta(seconds=request.overlap_seconds)
    secret = webhooks.rotate_secret(unit.connection, unit.platform.part(open_sealer), endpoint.id, overlap)
    return SigningSecret(secret=secret, former_until=webhooks.get(unit.connection, endpoint.id).former_until)


@WEBHOOK_ENDPOINT.view("deliveries", query=Query, result=WebhookDeliveries)
def get_webhook_deliveries(unit: Unit, endpoint: WebhookEndpoint, query: Query) -> WebhookDeliveries:
    """Lists the events that the endpoint has not taken: those tried again, and those given up."""
    select = (
        sa.select(OUTBOX_DELIVERY, EVENT.c.id.label("event_id"), EVENT.c.type)
        .join(EVENT, EVENT.c.sequence == OUTBOX_DELIVERY.c.sequence)
        .where(OUTBOX_DELIVERY.c.consumer == webhooks.consumer_of(endpoint.id))
        .order_by(OUTBOX_DELIVERY.c.sequence)
        .limit(_MOST_DELIVERIES)
    )
    return WebhookDeliveries(
        items=[
            WebhookDelivery(
                sequence=row.sequence,
                event_id=row.event_id,
                type=row.type,
                subject=row.subject,
                state=deliveries.DeliveryState(row.state),
                attempts=row.attempts,
                next_at=row.next_at,
                last_error=row.last_error,
            )
            for row in unit.connection.execute(select)
        ]
    )


@WEBHOOK_ENDPOINT.command("redeliver", request=Redelivery, result=Redelivered, past="redelivered")
def redeliver(unit: Unit, endpoint: WebhookEndpoint, request: Redelivery) -> Redelivered:
    """Sends events again that were given up."""
    return Redelivered(count=deliveries.replay(unit.connection, webhooks.consumer_of(endpoint.id), request.sequences))


@WEBHOOK_ENDPOINT.action("test", request=Request, result=WebhookTest, role=Role.ADMIN, past="tested")
async def try_webhook_endpoint(ctx: Context, webhook_endpoint: str, request: Request) -> WebhookTest:
    """Sends the endpoint an event now, of type `admin.webhook_endpoint.test`, and tells whether it took it."""
    permission = WEBHOOK_ENDPOINT.permission("test")

    def find(unit: Unit) -> webhooks.WebhookEndpoint:
        row = unit.row(WEBHOOK_ENDPOINT, webhook_endpoint, permission=permission)
        unit.subject(row)
        return webhooks.get(unit.connection, row.id)

    endpoint = await ctx.read(find)
    sender = webhooks.Sender(ctx.platform, private=ctx.platform.settings.private_sources)
    event = Event(
        f"{webhooks.KIND}.test",
        endpoint.id,
        ctx.principal.name,
        request_id=ctx.request_id,
        organization_id=endpoint.organization_id,
        project_id=endpoint.project_id,
        traceparent=ctx.traceparent,
    )
    try:
        await sender.send(endpoint, Recorded(0, event))
    except Unavailable as error:
        return WebhookTest(problem=error.detail)
    finally:
        await sender.close()
    return WebhookTest(problem=None)


def _place(unit: Unit, endpoint: WebhookEndpoint) -> Securable:
    """Where its events stand."""
    organization = str(endpoint.organization_id)
    project = endpoint.spec.project_id
    if project is None:
        return Securable(ORGANIZATION, organization, organization)
    row = store.find(unit.connection, PROJECT, project, named=False)
    known = row is not None and row.deleted_at is None and unit.allows(f"{PROJECT}.get", row.securable, row)
    if row is None or not known or row.organization_id != organization:
        fault = {"pointer": "/spec/project_id", "detail": "is the id of no project of the organization"}
        raise InvalidPayload(f"There is no project {project!r} in this organization.", errors=[fault])
    return row.securable
