"""Principals: authenticated callers with their rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from api.kernel.permissions.access import Access


class PrincipalKind(StrEnum):
    """Kind of an account. Service accounts are for programs."""

    USER = "USER"
    SERVICE_ACCOUNT = "SERVICE_ACCOUNT"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `by_cookie` is true if a browser sent the credentials automatically."""

    id: str
    name: str
    kind: PrincipalKind
    organization_id: str
    token_id: str
    access: Access = field(repr=False)
    by_cookie: bool = False


ANONYMOUS = Principal("", "anonymous", PrincipalKind.USER, "", "", Access((), {}))
"""The caller of public operations."""
