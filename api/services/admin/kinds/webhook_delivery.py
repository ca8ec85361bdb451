"""Events that a webhook endpoint has not accepted, and their redelivery."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.outbox import deliveries, webhooks
from api.kernel.outbox.tables import OUTBOX_DELIVERY
from api.services.admin.kinds.webhook_endpoint import WEBHOOK_ENDPOINT, WebhookEndpoint
from core.events import EVENT

_MAX_DELIVERIES = 1000


class WebhookDelivery(Model):
    """An event that the endpoint has not accepted."""

    sequence: int
    """Position of the event in the order of all events."""

    event_id: str
    """Id of the event, sent as `webhook-id`."""

    type: str
    """Type of the event."""

    subject: str
    """Id of the event's subject. Later events of the same subject wait for this one."""

    state: deliveries.DeliveryState
    """PENDING is tried again. DEAD was given up."""

    attempts: int
    """Number of attempts."""

    next_at: datetime
    """Time of the next attempt, if it is PENDING."""

    last_error: str
    """Why the last attempt failed."""


class WebhookDeliveries(Model):
    """Events that an endpoint has not accepted."""

    items: list[WebhookDelivery]
    """The oldest 1,000 events."""


class Redelivery(Request):
    """Events to send again."""

    sequences: Annotated[list[int], Field(max_length=1000)] | None = None
    """Sequences of events that were given up. By default all of them."""


class Redelivered(Model):
    """Result of a redelivery."""

    count: int
    """Number of events that are sent again."""


@WEBHOOK_ENDPOINT.view("deliveries", query=Query, result=WebhookDeliveries)
def get_webhook_deliveries(unit: Unit, endpoint: WebhookEndpoint, query: Query) -> WebhookDeliveries:
    """Lists the events that the endpoint has not accepted: those that are tried again, and those that were given up."""
    select = (
        sa.select(OUTBOX_DELIVERY, EVENT.c.id.label("event_id"), EVENT.c.type)
        .join(EVENT, EVENT.c.sequence == OUTBOX_DELIVERY.c.sequence)
        .where(OUTBOX_DELIVERY.c.consumer == webhooks.consumer_of(endpoint.id))
        .order_by(OUTBOX_DELIVERY.c.sequence)
        .limit(_MAX_DELIVERIES)
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
