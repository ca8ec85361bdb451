"""Webhook endpoints: external systems that receive the events of an organization."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from api.kernel import references
from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request, Url
from api.kernel.outbox import event_types, webhooks
from api.kernel.outbox.webhook_sender import WebhookSender
from api.kernel.outbox.webhooks import WebhookState
from api.kernel.permissions.power import Power
from api.kernel.references import ORGANIZATION, PROJECT
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage import store
from core.errors import InvalidPayload, Unavailable
from core.events import Event, RecordedEvent

READS_EVENTS = "admin.audit_event.get"
"""Permission to read the events that an endpoint receives."""

EventType = Annotated[str, Field(max_length=128, pattern=r"^(\*|[a-z_]+(\.[a-z_]+)*(\.\*)?)$")]


class WebhookEndpointSpec(Spec):
    """The address of an endpoint and the events that it receives."""

    url: Annotated[Url, Field(examples=["https://hooks.example.org/headwater"])]
    """URL to which each event is posted."""

    types: Annotated[list[EventType], Field(min_length=1, max_length=100)] = ["*"]
    """Types of events. `*` at the end matches anything: `admin.user.created`, `admin.*`, `*`."""

    project_id: references.Project | None = None
    """Id of a project of the organization. If set, only its events are sent."""

    description: Text = ""
    """Purpose of the endpoint."""


class WebhookEndpointStatus(Status):
    """State of an endpoint."""

    state: WebhookState = WebhookState.ACTIVE
    """A DISABLED endpoint receives no events, also not later. An endpoint that responds with 410 is disabled."""


class WebhookEndpoint(Resource[WebhookEndpointSpec, WebhookEndpointStatus]):
    """A URL that receives the events of an organization or project, signed as in Standard Webhooks."""


class SecretRotation(Request):
    """How to rotate a signing secret."""

    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 86_400
    """Seconds for which the former secret also signs, so that receivers can switch. 0 if it may have been stolen."""


class SigningSecret(Model):
    """The secret with which the receiver verifies signatures."""

    secret: str
    """The secret, `whsec_...`. No other response contains it."""

    former_until: datetime | None
    """Time until which events are also signed with the former secret. Null if they are not."""


class WebhookTest(Model):
    """Result of a test."""

    problem: str | None
    """Why the endpoint did not accept the event. Null if it did."""


WEBHOOK_ENDPOINT = ResourceKind(
    WebhookEndpoint,
    plural="webhook-endpoints",
    prefix="whk",
    level=Level.ORGANIZATION,
    filter_by=("spec.url", "spec.project_id"),
    writers=Role.ADMIN,
    readers=Role.ADMIN,
    powers={
        "create": Power.GRANTS,
        "update": Power.GRANTS,
        "delete": Power.NOTHING,
        "restore": Power.GRANTS,
        "disable": Power.NOTHING,
        "enable": Power.GRANTS,
        "rotate-secret": Power.NOTHING,
        "redeliver": Power.NOTHING,
        "test": Power.NOTHING,
    },
)


@WEBHOOK_ENDPOINT.validate
def require_permission_to_read(unit: Unit, endpoint: WebhookEndpoint, before: WebhookEndpoint | None) -> None:
    """Checks the address and the types, and requires the permission to read the events of the endpoint."""
    webhooks.require_url(endpoint.spec.url)
    for n, type in enumerate(endpoint.spec.types):
        # Types of an earlier release stay until they are changed.
        if before is None or type not in before.spec.types:
            event_types.require_known(unit.platform, type, f"/spec/types/{n}")
    place = _place(unit, endpoint)
    unit.require(READS_EVENTS, place)
    escalation.require_rights(unit, escalation.rules_on([READS_EVENTS], place))


@WEBHOOK_ENDPOINT.after("create")
def start_deliveries(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Starts deliveries with the next event, signed with a new secret."""
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
def redirect_deliveries(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Applies the new address and types, also to waiting events."""
    spec = endpoint.spec
    webhooks.change(unit.connection, endpoint.id, url=spec.url, types=spec.types, project_id=spec.project_id)


@WEBHOOK_ENDPOINT.after("delete")
def end_deliveries(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Ends deliveries and discards waiting events."""
    webhooks.disable(unit.connection, endpoint.id)


@WEBHOOK_ENDPOINT.after("restore")
def resume_deliveries(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Resumes deliveries with the next event, signed with the former secret."""
    if endpoint.status.state is WebhookState.ACTIVE:
        webhooks.enable(unit.connection, endpoint.id)


@WEBHOOK_ENDPOINT.transition(
    "disable", request=Request, sources=(WebhookState.ACTIVE,), to=WebhookState.DISABLED, past="disabled"
)
def disable_webhook_endpoint(unit: Unit, endpoint: WebhookEndpoint, request: Request) -> None:
    """Stops deliveries and discards waiting events. Events until the endpoint is enabled are never sent."""
    webhooks.disable(unit.connection, endpoint.id)


@WEBHOOK_ENDPOINT.transition(
    "enable", request=Request, sources=(WebhookState.DISABLED,), to=WebhookState.ACTIVE, past="enabled"
)
def enable_webhook_endpoint(unit: Unit, endpoint: WebhookEndpoint, request: Request) -> None:
    """Resumes deliveries with the next event."""
    webhooks.enable(unit.connection, endpoint.id)


@WEBHOOK_ENDPOINT.command(
    "rotate-secret", request=SecretRotation, result=SigningSecret, past="secret_rotated", secret=True
)
def rotate_secret(unit: Unit, endpoint: WebhookEndpoint, request: SecretRotation) -> SigningSecret:
    """Creates a new signing secret and returns it once. For the overlap, the former secret also signs.

    A secret that was replaced earlier no longer signs.
    """
    overlap = timedelta(seconds=request.overlap_seconds)
    secret = webhooks.rotate_secret(unit.connection, unit.platform.part(open_sealer), endpoint.id, overlap)
    return SigningSecret(secret=secret, former_until=webhooks.get(unit.connection, endpoint.id).former_until)


@WEBHOOK_ENDPOINT.action("test", request=Request, result=WebhookTest, role=Role.ADMIN, past="tested", versioned=True)
async def try_webhook_endpoint(ctx: Context, webhook_endpoint: str, request: Request) -> WebhookTest:
    """Sends the endpoint an event of type `admin.webhook_endpoint.test`, and returns whether it accepted the event."""
    permission = WEBHOOK_ENDPOINT.permission("test")

    def require_endpoint(unit: Unit) -> webhooks.WebhookEndpoint:
        row = unit.row(WEBHOOK_ENDPOINT, webhook_endpoint, permission=permission)
        unit.subject(row)
        return webhooks.get(unit.connection, row.id)

    endpoint = await ctx.read(require_endpoint)
    sender = WebhookSender(ctx.platform, private=ctx.platform.settings.private_sources)
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
        await sender.send(endpoint, RecordedEvent(0, event))
    except Unavailable as error:
        return WebhookTest(problem=error.detail)
    finally:
        await sender.close()
    return WebhookTest(problem=None)


def _place(unit: Unit, endpoint: WebhookEndpoint) -> Securable:
    """Returns the scope of the endpoint's events."""
    organization = str(endpoint.organization_id)
    project = endpoint.spec.project_id
    if project is None:
        return Securable(ORGANIZATION, organization, organization)
    row = store.find(unit.connection, PROJECT, project, within=None)
    visible = row is not None and row.deleted_at is None and unit.allows(f"{PROJECT}.get", row.securable, row)
    if row is None or not visible or row.organization_id != organization:
        fault = {"pointer": "/spec/project_id", "detail": "is not a project of the organization"}
        raise InvalidPayload(f"There is no project {project!r} in this organization.", errors=[fault])
    return row.securable
