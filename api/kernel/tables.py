"""Tables of the kernel in the metadata database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core.db import METADATA, UtcDateTime

_PROJECT_ROWS = "project_rows"
_ORGANIZATION_ROWS = "organization_rows"


def project_rows(*names: str) -> dict[str, Any]:
    """Returns the `info` of a table whose rows belong to projects, in `project_id` and `organization_id`.

    The rows move to another organization with their project, and are erased with their organization.

    Args:
        names: columns with names of principals, which the other organization must not see.
    """
    return {_PROJECT_ROWS: names}


def tables_of_projects() -> list[tuple[sa.Table, tuple[str, ...]]]:
    """Returns the tables that are declared with `project_rows`, and their columns with names of principals."""
    tables = METADATA.sorted_tables
    return [(table, table.info[_PROJECT_ROWS]) for table in tables if _PROJECT_ROWS in table.info]


def organization_rows() -> dict[str, Any]:
    """Returns the `info` of a table whose rows belong to organizations, and are erased with them."""
    return {_ORGANIZATION_ROWS: True}


def tables_of_organizations() -> list[sa.Table]:
    """Returns the tables that are declared with `organization_rows`."""
    return [table for table in METADATA.sorted_tables if _ORGANIZATION_ROWS in table.info]


PRINCIPAL = sa.Table(
    "principal",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    # Users of several organizations can share a name. Without the organization, it means the user who had it first.
    sa.Column("named_at", UtcDateTime, nullable=False),
    sa.Column("organization_id", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("password_hash", sa.String(256)),
    sa.Column("password_changed_at", UtcDateTime),
    sa.Column("password_reset_required", sa.Boolean, nullable=False, default=False),
    sa.Column("one_time_password", sa.LargeBinary),
    sa.Column("last_login_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("uq_principal_name", "name", "organization_id", unique=True),
)
"""Authentication data of users and service accounts. The resource of the same id has the other fields."""

TOKEN = sa.Table(
    "token",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("principal_id", sa.ForeignKey("principal.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    # SHA-256 of 256 random bits. These cannot be guessed, so a slow hash would protect nothing.
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    # Using a refresh token twice revokes its family.
    sa.Column("family", sa.String(64), nullable=False, index=True),
    sa.Column("replaced_by", sa.String(64)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("last_used_from", sa.String(64)),
)

AUTH_EPOCH = sa.Table(
    "auth_epoch",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Integer, nullable=False),
)
"""One counter. Every revocation, suspension, and role change increments it, and processes then clear their caches."""

LOGIN_FAILURE = sa.Table(
    "login_failure",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False, index=True),
)

OPERATION = sa.Table(
    "operation",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("action", sa.String(128), nullable=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("organization_id", sa.String(64)),
    sa.Column("project_id", sa.String(64)),
    sa.Column("principal", sa.String(128), nullable=False),
    sa.Column("principal_id", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("executor", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    # Columns of sagas: `saga` and `input`. Columns of launches: from `assets` to `backfill`.
    sa.Column("saga", sa.String(128)),
    sa.Column("input", sa.JSON),
    sa.Column("assets", sa.JSON, nullable=False),
    sa.Column("partitions", sa.JSON, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("stages", sa.Integer, nullable=False),
    sa.Column("stage", sa.Integer, nullable=False),
    sa.Column("launched_stage", sa.Integer, nullable=False),
    sa.Column("runs", sa.JSON, nullable=False),
    sa.Column("backfill", sa.String(64)),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("produced", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON),
    sa.Column("lease_holder", sa.String(64)),
    sa.Column("lease_expires_at", UtcDateTime),
    sa.Column("cancel_requested_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime, index=True),
    sa.Column("traceparent", sa.String(55)),
)
"""Long-running operations. The executor is Dagster (LAUNCH) or a process of the API that has a lease (SAGA)."""

IDEMPOTENCY = sa.Table(
    "idempotency",
    METADATA,
    sa.Column("principal_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    # Digest of the rights of the caller, and the securable of the request.
    sa.Column("rights", sa.String(64), nullable=False),
    sa.Column("securable_id", sa.String(256)),
    sa.Column("operation", sa.String(64), index=True),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", UtcDateTime, nullable=False, index=True),
)
"""Requests with an `Idempotency-Key` and their responses, by the id of the caller."""

RESOURCE = sa.Table(
    "resource",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("organization_id", sa.String(64)),
    sa.Column("project_id", sa.String(64)),
    sa.Column("scope_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("state", sa.String(32)),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
    sa.Column("deleted_at", UtcDateTime),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("status", sa.JSON, nullable=False),
    sa.Column("shape", sa.String(16), nullable=False, default=""),
    sa.Index("ix_resource_kind_id", "kind", "id"),
    sa.Index("ix_resource_kind_name", "kind", "name", "id"),
    sa.Index("ix_resource_kind_created_at", "kind", "created_at", "id"),
    sa.Index("ix_resource_organization", "organization_id", "kind", "id"),
    sa.Index("ix_resource_project", "project_id", "kind", "id"),
)
"""The resources of all services. `scope_id` is the project, organization, or platform in which the name is unique."""

sa.Index(
    "uq_resource_name",
    *(RESOURCE.c.kind, RESOURCE.c.scope_id, RESOURCE.c.name),
    unique=True,
    sqlite_where=RESOURCE.c.deleted_at.is_(None),
    postgresql_where=RESOURCE.c.deleted_at.is_(None),
)

REVISION = sa.Table(
    "revision",
    METADATA,
    sa.Column("resource_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("action", sa.String(128), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
)
"""The states of a resource after each of its changes."""

REFERENCE = sa.Table(
    "reference",
    METADATA,
    sa.Column("from_id", sa.String(64), primary_key=True),
    sa.Column("field", sa.String(64), primary_key=True),
    sa.Column("to_id", sa.String(64), primary_key=True, index=True),
    sa.Column("from_kind", sa.String(64), nullable=False),
)
"""References between resources, derived from the declared fields."""

PURGED_PROJECT = sa.Table("purged_project", METADATA, sa.Column("name", sa.String(128), primary_key=True))
"""Names of projects whose rows were removed with their organization. Their tables may still exist."""

GRANT = sa.Table(
    "grant",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("principal_id", sa.String(64), nullable=False),
    sa.Column("role_id", sa.String(64), index=True),
    sa.Column("permission", sa.String(128)),
    sa.Column("effect", sa.String(8), nullable=False),
    sa.Column("securable_id", sa.String(64), nullable=False, index=True),
    sa.Column("securable_kind", sa.String(64), nullable=False),
    sa.Column("organization_id", sa.String(64)),
    sa.Column("project_id", sa.String(64)),
    sa.Column("condition", sa.String(2000), nullable=False, default=""),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Index("ix_grant_principal", "principal_id", "securable_id"),
    sa.Index("ix_grant_organization", "organization_id", "id"),
)
"""Grants. They refer to ids, which are never reused, so that a new principal of the same name inherits nothing."""

MEMBER = sa.Table(
    "member",
    METADATA,
    sa.Column("group_id", sa.String(64), primary_key=True),
    sa.Column("member_id", sa.String(64), primary_key=True, index=True),
    sa.Column("added_at", UtcDateTime, nullable=False),
    sa.Column("added_by", sa.String(128), nullable=False),
)
"""Members of groups: users, service accounts, and other groups. Cycles are refused when a member is added."""

SIGNING_KEY = sa.Table(
    "signing_key",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("public", sa.JSON, nullable=False),
    # The private key, only while it can sign.
    sa.Column("sealed", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("signs_from", UtcDateTime),
    sa.Column("retired_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
)
"""Keys that sign tokens for other systems and attestations: one current key and one next key at a time."""

_UNIQUE_STATES = SIGNING_KEY.c.state.in_(("CURRENT", "NEXT"))
sa.Index(
    "uq_signing_key_state",
    SIGNING_KEY.c.state,
    unique=True,
    sqlite_where=_UNIQUE_STATES,
    postgresql_where=_UNIQUE_STATES,
)
