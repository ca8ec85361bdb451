"""Schemas of the tables of the audit log. The API writes these tables; Dagster shows them as assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROJECT = "platform"
"""First part of the asset ids. No project may have this name, because these tables cover all organizations."""

EVENTS = "platform.audit.events"
GRANTS = "platform.audit.grants"
MEMBERS = "platform.audit.members"
RESOURCES = "platform.audit.resources"

_PREFIX = f"{PROJECT}."
_TEXT, _NUMBER, _TIME = "string", "int64", "timestamp[us, tz=UTC]"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its Arrow type as text, and its meaning."""

    type: str
    description: str


@dataclass(frozen=True, slots=True)
class AuditTable:
    """A table: the meaning of a row, and the columns by name."""

    description: str
    columns: Mapping[str, Column]


def is_audit_table(asset: str) -> bool:
    """Returns whether an asset id names a table of the audit log. These tables cover all organizations."""
    return asset.startswith(_PREFIX)


def _text(description: str) -> Column:
    return Column(_TEXT, description)


_SEQUENCE = Column(_NUMBER, "Number of the event in the total order of all events.")
_HAPPENED = Column(_TIME, "Time of the event, in UTC.")
_ORGANIZATION = _text("Organization that the event belongs to; null for the platform itself.")
_PROJECT = _text("Project that the event belongs to; null if it belongs to none.")

TABLES: Mapping[str, AuditTable] = {
    EVENTS: AuditTable(
        "One row per event: the principal, the action, the subject, the time, and whether the action was allowed.",
        {
            "sequence": _SEQUENCE,
            "happened_at": _HAPPENED,
            "id": _text("Id of the event."),
            "type": _text("Type of the event: service, kind and a verb in the past tense, joined by dots."),
            "kind": _text("Kind of the subject."),
            "subject": _text("Id of the subject: the resource that the event is about."),
            "organization_id": _ORGANIZATION,
            "project_id": _PROJECT,
            "principal": _text("Name of the principal that acted."),
            "principal_id": _text("Id of the principal that acted."),
            "on_behalf_of": _text("Principal on whose behalf they acted."),
            "request_id": _text("Id of the request that caused the event."),
            "data": _text("Details of the event, as JSON."),
            "hash": _text("Hash of the event and the hash of the previous event."),
        },
    ),
    GRANTS: AuditTable(
        "One row per grant that was created or revoked.",
        {
            "sequence": _SEQUENCE,
            "happened_at": _HAPPENED,
            "change": _text("GIVEN or REVOKED."),
            "grant_id": _text("Id of the grant."),
            "principal_id": _text("User, service account or group that receives the grant."),
            "role_id": _text("Role that is granted; null if a single permission is granted."),
            "permission": _text("Permission that is granted; null if a role is granted."),
            "effect": _text("ALLOW or DENY."),
            "securable_id": _text("Resource that the grant applies to, with everything below it."),
            "securable_kind": _text("Kind of that resource."),
            "condition": _text("Condition under which the grant applies; empty if there is none."),
            "expires_at": Column(_TIME, "Time at which the grant expires, in UTC; null if it doesn't expire."),
        },
    ),
    MEMBERS: AuditTable(
        "One row per member that was added to a group or removed from it.",
        {
            "sequence": _SEQUENCE,
            "happened_at": _HAPPENED,
            "change": _text("ADDED or REMOVED."),
            "group_id": _text("Id of the group."),
            "member_id": _text("Id of the user, service account or group."),
        },
    ),
    RESOURCES: AuditTable(
        "One row per version of a user, service account, group, role, project or organization.",
        {
            "sequence": _SEQUENCE,
            "happened_at": _HAPPENED,
            "id": _text("Id of the resource."),
            "kind": _text("Kind of the resource."),
            "version": Column(_NUMBER, "Version of the resource, starting at 1."),
            "name": _text("Name of the resource."),
            "state": _text("State, such as ACTIVE or SUSPENDED; null if the kind has no states."),
            "deleted": Column("bool", "Whether the resource is deleted."),
            "organization_id": _ORGANIZATION,
            "project_id": _PROJECT,
            "permissions": Column("list<item: string>", "Permissions that a role allows."),
            "denied": Column("list<item: string>", "Permissions that a role denies."),
        },
    ),
}
