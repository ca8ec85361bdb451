"""The tables of the audit trail, as both sides of the platform know them: the API writes them, Dagster shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROJECT = "platform"
"""First part of their ids. No project may have this name: what is in it concerns all organizations."""

EVENTS = "platform.audit.events"
GRANTS = "platform.audit.grants"
MEMBERS = "platform.audit.members"
RESOURCES = "platform.audit.resources"

_PREFIX = f"{PROJECT}."
_TEXT, _NUMBER, _TIME = "string", "int64", "timestamp[us, tz=UTC]"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its Arrow type as text, and what it holds."""

    type: str
    description: str


@dataclass(frozen=True, slots=True)
class AuditTable:
    """A table: what a row is, and the columns by name."""

    description: str
    columns: Mapping[str, Column]


def is_audit(asset: str) -> bool:
    """Whether the asset with this id is one of the platform's own, which tell of all organizations."""
    return asset.startswith(_PREFIX)


def _text(description: str) -> Column:
    return Column(_TEXT, description)


_SEQUENCE = Column(_NUMBER, "Number of the event in the one order of all events.")
_HAPPENED = Column(_TIME, "When it happened, in UTC.")
_ORGANIZATION = _text("Organization it is in; null for the platform.")
_PROJECT = _text("Project it is in; null if in none.")

TABLES: Mapping[str, AuditTable] = {
    EVENTS: AuditTable(
        "A row is an event: who did what to which thing, when, and whether it was allowed.",
        {
            "sequence": _SEQUENCE,
            "happened_at": _HAPPENED,
            "id": _text("Id of the event."),
            "type": _text("What happened: service, kind and past tense, joined by dots."),
            "kind": _text("Kind of what it happened to."),
            "subject": _text("Id of what it happened to."),
            "organization_id": _ORGANIZATION,
            "project_id": _PROJECT,
            "principal": _text("Name of who did it."),
            "principal_id": _text("Id of who did it."),
            "on_behalf_of": _text("For whom he did it."),
            "request_id": _text("Request that did it."),
            "data": _text("The facts, as JSON."),
            "hash": _text("Hash over the event and the hash of the one before."),
        },
    ),
    GRANTS: AuditTable(
        "A row is a grant that was given or revoked.",
        {
            "sequence": _SEQUENCE,
            "happened_at": _HAPPENED,
            "change": _text("GIVEN or REVOKED."),
            "grant_id": _text("Id of the grant."),
            "principal_id": _text("User, service account or group it is given to."),
            "role_id": _text("Role it gives; null if it gives a single permission."),
            "permission": _text("Permission it gives; null if it gives a role."),
            "effect": _text("ALLOW or DENY."),
            "securable_id": _text("What it holds on, and on all below."),
            "securable_kind": _text("Kind of that."),
            "condition": _text("What must be true for it to hold; empty if nothing."),
            "expires_at": Column(_TIME, "When it ends by itself, in UTC; null if it does not."),
        },
    ),
    MEMBERS: AuditTable(
        "A row is a member that was added to a group or removed from it.",
        {
            "sequence": _SEQUENCE,
            "happened_at": _HAPPENED,
            "change": _text("ADDED or REMOVED."),
            "group_id": _text("Id of the group."),
            "member_id": _text("Id of the user, service account or group."),
        },
    ),
    RESOURCES: AuditTable(
        "A row is a version of a user, service account, group, role, project or organization.",
        {
            "sequence": _SEQUENCE,
            "happened_at": _HAPPENED,
            "id": _text("Id of the thing."),
            "kind": _text("Its kind."),
            "version": Column(_NUMBER, "Its version, from 1."),
            "name": _text("Its name."),
            "state": _text("Its state, such as ACTIVE or SUSPENDED; null if it has none."),
            "deleted": Column("bool", "Whether it is deleted."),
            "organization_id": _ORGANIZATION,
            "project_id": _PROJECT,
            "permissions": Column("list<item: string>", "Permissions that a role allows."),
            "denied": Column("list<item: string>", "Permissions that a role denies."),
        },
    ),
}
