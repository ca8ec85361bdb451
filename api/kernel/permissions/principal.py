"""Who asks: an authenticated caller with what it may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from api.kernel.permissions.access import Access


class PrincipalKind(StrEnum):
    """A user is a person, a service account a program."""

    USER = "USER"
    SERVICE_ACCOUNT = "SERVICE_ACCOUNT"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `by_cookie` tells whether a browser sent the credentials on its own."""

    id: str
    name: str
    kind: PrincipalKind
    organization_id: str
    token_id: str
    access: Access = field(repr=False)
    by_cookie: bool = False


ANONYMOUS = Principal("", "anonymous", PrincipalKind.USER, "", "", Access((), {}))
"""Who calls a public operation."""
