"""Mapping of an identity provider's claims to a user's name, groups, and roles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9._@+-]{0,119}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """The mapping of a provider's claims."""

    groups_claim: str
    groups: Mapping[str, str]
    """Id of a group by its name in the claim."""

    roles_claim: str
    roles: Mapping[str, str]
    """Id of a role by its name in the claim."""

    domains: Sequence[str] = ()
    """Mail domains whose users can log in. Empty for all."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as an identity provider describes them, in terms of the platform."""

    subject: str
    name: str
    """Login name derived from the claims. Another user may have it."""

    title: str | None
    email: str | None
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    refused: str | None
    """Why the login is refused. None if it is not."""


def identity_of(rules: Rules, claims: Mapping[str, Any]) -> Identity:
    """Returns the identity that claims describe."""
    subject = claims.get("sub")
    subject = subject if isinstance(subject, str) else ""
    email = _text(claims.get("email"))
    email = email if email and len(email) <= 254 and _EMAIL.fullmatch(email) else None
    # An unverified address may belong to another user: it neither names the account nor receives mail.
    address = email if _is_verified(claims) else None
    return Identity(
        subject=subject,
        name=_name(_text(claims.get("preferred_username")), address, subject),
        title=(_text(claims.get("name")) or "")[:200] or None,
        email=address,
        groups=_mapped(claims, rules.groups_claim, rules.groups),
        roles=_mapped(claims, rules.roles_claim, rules.roles),
        refused=_refusal(rules, claims, subject, email),
    )


def _refusal(rules: Rules, claims: Mapping[str, Any], subject: str, email: str | None) -> str | None:
    if not subject or len(subject) > 256:
        return "The claims contain no subject."
    if rules.domains:
        domain = (email or "").rpartition("@")[2].lower()
        if domain not in {item.lower() for item in rules.domains}:
            return "The domain of the address is not allowed."
        if not _is_verified(claims):
            return "The identity provider has not verified the address."
    return None


def _is_verified(claims: Mapping[str, Any]) -> bool:
    """Returns whether the address counts as verified: `email_verified` is missing, true, or the text "true"."""
    verified = claims.get("email_verified", True)
    return verified is True or verified == "true"


def _name(username: str | None, email: str | None, subject: str) -> str:
    for candidate in (username, email):
        if candidate and _NAME.fullmatch(lowered := candidate.lower()):
            return lowered
    cleaned = re.sub(r"[^a-z0-9._@+-]+", "-", (username or email or subject).lower()).strip("-.")[:110].rstrip("-.")
    return cleaned if _NAME.fullmatch(cleaned) else f"user-{cleaned}".rstrip("-")


def _mapped(claims: Mapping[str, Any], claim: str, table: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the mapped values of a claim. `a.b` is field b of claim a."""
    value: Any = claims
    for part in [claim] if claim in claims else claim.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(table[item] for item in values if isinstance(item, str) and item in table))


def _text(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text if text.isprintable() and text else None
