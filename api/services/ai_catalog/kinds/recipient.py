"""Recipients: parties outside the platform who read shares."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.references import RefersTo
from api.kernel.roles import Role
from api.services.ai_catalog.sharing_tables import RECIPIENT_TOKEN

RecipientReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.recipient",))]
"""A recipient."""


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]
"""Network in CIDR notation, such as `192.0.2.0/24`."""


class RecipientSpec(Spec):
    """A recipient."""

    title: Title
    """Display name."""

    comment: Text = ""
    """Who the recipient is, for users of the platform."""

    networks: Annotated[list[Network], Field(max_length=100)] = []
    """Networks that requests of the recipient may come from. By default every network."""

    token_days: Annotated[int, Field(ge=1, le=365)] = 90
    """Days until a new token of the recipient expires."""


class Recipient(Resource[RecipientSpec, NoStatus]):
    """A party outside the platform who reads shares with a token of Delta Sharing. It has no account."""


RECIPIENT = ResourceKind(
    Recipient,
    plural="recipients",
    prefix="rcp",
    level=Level.ORGANIZATION,
    writers=Role.ADMIN,
    filter_by=("spec.title",),
)


@RECIPIENT.after("delete")
def end_tokens(unit: Unit, recipient: Recipient) -> None:
    """Ends the tokens of a recipient immediately. A restored recipient needs a new one."""
    tokens = RECIPIENT_TOKEN.c.recipient_id == recipient.id, RECIPIENT_TOKEN.c.revoked_at.is_(None)
    unit.connection.execute(RECIPIENT_TOKEN.update().where(*tokens).values(revoked_at=unit.now))
