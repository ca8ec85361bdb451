"""From what an identity provider claims of somebody to who he is here: name, groups and roles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9._@+-]{0,119}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """How claims of a provider are read."""

    groups_claim: str
    groups: Mapping[str, str]
    """Id of a group here by its name there."""

    roles_claim: str
    roles: Mapping[str, str]
    """Id of a role here by its name there."""

    domains: Sequence[str] = ()
    """Domains of addresses that are let in; empty for all."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as an identity provider describes him, in our terms."""

    subject: str
    name: str
    """A login name made of what is claimed; another user may have it."""

    title: str | None
    email: str | None
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    refused: str | None
    """Why he is not let in; None if he is."""


def identity_of(rules: Rules, claims: Mapping[str, Any]) -> Identity:
    """Reads the claims."""
    subject = claims.get("sub")
    subject = subject if isinstance(subject, str) else ""
    email = _text(claims.get("email"))
    email = email if email and len(email) <= 254 and _EMAIL.fullmatch(email) else None
    return Identity(
        subject=subject,
        name=_name(_text(claims.get("preferred_username")), email, subject),
        title=(_text(claims.get("name")) or "")[:200] or None,
        email=email,
        groups=_mapped(claims, rules.groups_claim, rules.groups),
        roles=_mapped(claims, rules.roles_claim, rules.roles),
        refused=_refusal(rules, claims, subject, email),
    )


def _refusal(rules: Rules, claims: Mapping[str, Any], subject: str, email: str | None) -> str | None:
    if not subject or len(subject) > 256:
        return "The claims name no subject."
    if rules.domains:
        domain = (email or "").rpartition("@")[2].lower()
        if domain not in {item.lower() for item in rules.domains}:
            return "The address is of none of the domains that are let in."
        if claims.get("email_verified") is False:
            return "The identity provider has not verified the address."
    return None


def _name(username: str | None, email: str | None, subject: str) -> str:
    for candidate in (username, email):
        if candidate and _NAME.fullmatch(lowered := candidate.lower()):
            return lowered
    cleaned = re.sub(r"[^a-z0-9._@+-]+", "-", (username or email or subject).lower()).strip("-.")[:110].rstrip("-.")
    return cleaned if _NAME.fullmatch(cleaned) else f"user-{cleaned}".rstrip("-")


def _mapped(claims: Mapping[str, Any], claim: str, table: Mapping[str, str]) -> tuple[str, ...]:
    """What the values of a claim stand for; `a.b` is the field b of the claim a."""
    value: Any = claims
    for part in [claim] if claim in claims else claim.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(table[item] for item in values if isinstance(item, str) and item in table))


def _text(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text if text.isprintable() and text else None
