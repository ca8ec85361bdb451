"""Resources, grants and one ordered trail of events"""

import hashlib
import json
from datetime import UTC

import sqlalchemy as sa
from alembic import op

import core.db
from core import clock
from core.ids import new_id

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ROLES = {"VIEWER": "rol_viewer", "EDITOR": "rol_editor", "ADMIN": "rol_admin"}
_ORGANIZATION = "org_default"
_BY = "headwater"
_GENESIS = "0" * 64

_PRINCIPAL = sa.table(
    "principal",
    *(sa.column(name, sa.String) for name in ("id", "name", "role", "state", "password_hash", "created_by")),
    *(sa.column(name, sa.String) for name in ("kind", "organization_id")),
    *(sa.column(name, core.db.UtcDateTime) for name in ("created_at", "updated_at", "password_changed_at")),
    sa.column("password_reset_required", sa.Boolean),
)
_TOKEN = sa.table(
    "token",
    *(sa.column(name, sa.String) for name in ("id", "principal_id", "kind", "label", "digest", "prefix", "family")),
    *(sa.column(name, core.db.UtcDateTime) for name in ("created_at", "expires_at", "revoked_at")),
    sa.column("scopes", sa.JSON),
)
_EVENT = sa.table(
    "event",
    sa.column("sequence", sa.BigInteger),
    *(sa.column(name, sa.String) for name in ("id", "type", "kind", "subject", "organization_id", "project_id")),
    *(sa.column(name, sa.String) for name in ("principal", "principal_id", "on_behalf_of", "request_id")),
    sa.column("at", core.db.UtcDateTime),
    sa.column("data", sa.JSON),
    *(sa.column(name, sa.String) for name in ("previous_hash", "hash")),
)
_HEAD = sa.table("event_head", *(sa.column(name) for name in ("id", "sequence", "hash")))
_RESOURCE = sa.table(
    "resource",
    *(sa.column(name, sa.String) for name in ("id", "kind", "organization_id", "project_id", "scope_id", "name")),
    *(sa.column(name, sa.String) for name in ("owner", "state", "created_by", "updated_by")),
    *(sa.column(name, sa.Integer) for name in ("generation", "version")),
    *(sa.column(name, core.db.UtcDateTime) for name in ("created_at", "updated_at")),
    *(sa.column(name, sa.JSON) for name in ("labels", "spec", "status")),
)
_REVISION = sa.table(
    "revision",
    *(sa.column(name, sa.String) for name in ("resource_id", "by", "action", "request_id")),
    sa.column("version", sa.Integer),
    sa.column("at", core.db.UtcDateTime),
    *(sa.column(name, sa.JSON) for name in ("changes", "content")),
)
_GRANT = sa.table(
    "grant",
    *(sa.column(name, sa.String) for name in ("id", "principal_id", "role_id", "effect", "securable_id")),
    *(sa.column(name, sa.String) for name in ("securable_kind", "condition", "created_by")),
    sa.column("created_at", core.db.UtcDateTime),
)


def upgrade() -> None:
    """Applies the change. Existing users, tokens, and events are migrated."""
    connection = op.get_bind()
    users = _rows(connection, _PRINCIPAL, "id name role state password_hash created_by created_at updated_at")
    tokens = _rows(connection, _TOKEN, "id principal_id kind label digest created_at expires_at revoked_at")
    events = _rows(connection, _EVENT, "sequence id type subject principal request_id at data")
    for table in ("token", "principal", "event"):
        op.drop_table(table)
    op.create_table(
        "client_secret",
        sa.Column("provider_id", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("pk_client_secret")),
    )
    op.create_table(
        "event",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=True),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=True),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("on_behalf_of", sa.String(length=128), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_event")),
        sa.UniqueConstraint("id", name=op.f("uq_event_id")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("ix_event_kind_sequence", ["kind", "sequence"], unique=False)
        batch_op.create_index("ix_event_organization_id_sequence", ["organization_id", "sequence"], unique=False)
        batch_op.create_index("ix_event_project_id_sequence", ["project_id", "sequence"], unique=False)
        batch_op.create_index("ix_event_subject_sequence", ["subject", "sequence"], unique=False)
        batch_op.create_index("ix_event_type_sequence", ["type", "sequence"], unique=False)

    op.create_table(
        "event_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_head")),
    )
    op.create_table(
        "grant",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("role_id", sa.String(length=64), nullable=True),
        sa.Column("permission", sa.String(length=128), nullable=True),
        sa.Column("effect", sa.String(length=8), nullable=False),
        sa.Column("securable_id", sa.String(length=64), nullable=False),
        sa.Column("securable_kind", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=True),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("condition", sa.String(length=2000), nullable=False),
        sa.Column("expires_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grant")),
    )
    with op.batch_alter_table("grant", schema=None) as batch_op:
        batch_op.create_index("ix_grant_organization", ["organization_id", "id"], unique=False)
        batch_op.create_index("ix_grant_principal", ["principal_id", "securable_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_grant_role_id"), ["role_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_grant_securable_id"), ["securable_id"], unique=False)

    op.create_table(
        "identity",
        sa.Column("provider_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("first_seen_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "subject", name=op.f("pk_identity")),
    )
    with op.batch_alter_table("identity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identity_user_id"), ["user_id"], unique=False)

    op.create_table(
        "invitation",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("grants", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("inviter_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        sa.UniqueConstraint("digest", name=op.f("uq_invitation_digest")),
    )
    with op.batch_alter_table("invitation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_invitation_organization_id"), ["organization_id"], unique=False)

    op.create_table(
        "member",
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("added_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("added_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "member_id", name=op.f("pk_member")),
    )
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_member_member_id"), ["member_id"], unique=False)

    op.create_table(
        "one_time_password",
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("pending", sa.LargeBinary(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", name=op.f("pk_one_time_password")),
    )
    op.create_table(
        "outbox_cursor",
        sa.Column("consumer", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", name=op.f("pk_outbox_cursor")),
    )
    op.create_table(
        "outbox_delivery",
        sa.Column("consumer", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.String(length=500), nullable=False),
        sa.Column("updated_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "sequence", name=op.f("pk_outbox_delivery")),
    )
    with op.batch_alter_table("outbox_delivery", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_delivery_due", ["consumer", "state", "next_at"], unique=False)
        batch_op.create_index("ix_outbox_delivery_subject", ["consumer", "subject", "state", "sequence"], unique=False)

    op.create_table(
        "outbox_seen",
        sa.Column("consumer", sa.String(length=128), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("seen_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id", name=op.f("pk_outbox_seen")),
    )
    with op.batch_alter_table("outbox_seen", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_seen_seen_at"), ["seen_at"], unique=False)

    op.create_table(
        "password_history",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=False),
        sa.Column("set_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_password_history")),
    )
    with op.batch_alter_table("password_history", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_password_history_principal_id"), ["principal_id"], unique=False)

    op.create_table(
        "principal",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("password_changed_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("password_reset_required", sa.Boolean(), nullable=False),
        sa.Column("one_time_password", sa.LargeBinary(), nullable=True),
        sa.Column("last_login_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal")),
        sa.UniqueConstraint("name", name=op.f("uq_principal_name")),
    )
    with op.batch_alter_table("principal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_principal_organization_id"), ["organization_id"], unique=False)

    op.create_table(
        "recovery_code",
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "digest", name=op.f("pk_recovery_code")),
    )
    op.create_table(
        "reference",
        sa.Column("from_id", sa.String(length=64), nullable=False),
        sa.Column("field", sa.String(length=64), nullable=False),
        sa.Column("to_id", sa.String(length=64), nullable=False),
        sa.Column("from_kind", sa.String(length=64), nullable=False),
        sa.Column("policy", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("from_id", "field", "to_id", name=op.f("pk_reference")),
    )
    with op.batch_alter_table("reference", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reference_to_id"), ["to_id"], unique=False)

    op.create_table(
        "resource",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=True),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("scope_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("updated_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(length=128), nullable=False),
        sa.Column("deleted_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("status", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource")),
    )
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.create_index("ix_resource_kind_created_at", ["kind", "created_at", "id"], unique=False)
        batch_op.create_index("ix_resource_kind_id", ["kind", "id"], unique=False)
        batch_op.create_index("ix_resource_kind_name", ["kind", "name", "id"], unique=False)
        batch_op.create_index("ix_resource_organization", ["organization_id", "kind", "id"], unique=False)
        batch_op.create_index("ix_resource_project", ["project_id", "kind", "id"], unique=False)
        batch_op.create_index(
            "uq_resource_name",
            ["kind", "scope_id", "name"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "revision",
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "version", name=op.f("pk_revision")),
    )
    op.create_table(
        "setting",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting")),
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("secret", sa.String(length=400), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoint")),
    )
    with op.batch_alter_table("webhook_endpoint", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_webhook_endpoint_organization_id"), ["organization_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_webhook_endpoint_state"), ["state"], unique=False)

    op.create_table(
        "saga_step",
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("undo_attempts", sa.Integer(), nullable=False),
        sa.Column("output", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("log", sa.JSON(), nullable=False),
        sa.Column("started_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["operation"], ["operation.id"], name=op.f("fk_saga_step_operation")),
        sa.PrimaryKeyConstraint("operation", "index", name=op.f("pk_saga_step")),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("family", sa.String(length=64), nullable=False),
        sa.Column("replaced_by", sa.String(length=64), nullable=True),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_used_from", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_token_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_family"), ["family"], unique=False)
        batch_op.create_index(batch_op.f("ix_token_principal_id"), ["principal_id"], unique=False)

    with op.batch_alter_table("operation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("organization_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("project_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("principal_id", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("executor", sa.String(length=16), nullable=False, server_default="LAUNCH"))
        batch_op.add_column(sa.Column("saga", sa.String(length=128), nullable=True))
        batch_op.add_column(sa.Column("input", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("result", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("lease_holder", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("lease_expires_at", core.db.UtcDateTime(timezone=True), nullable=True))
        batch_op.create_index(batch_op.f("ix_operation_finished_at"), ["finished_at"], unique=False)

    if users:
        _organization(connection)
    for user in users:
        _migrate_user(connection, user)
    for token in tokens:
        connection.execute(_TOKEN.insert().values(**token, prefix="hw_", scopes=[], family=token["id"]))
    _chain(connection, sorted(events, key=lambda event: event["sequence"]))


def downgrade() -> None:
    """Reverts the change. A user with a right other than a built-in role on the platform becomes a viewer."""
    connection = op.get_bind()
    users = _rows(connection, _PRINCIPAL, "id name kind state password_hash created_at")
    roles = {role: name for name, role in _ROLES.items()}
    held = {}
    for grant in _rows(connection, _GRANT, "principal_id role_id effect securable_id"):
        if grant["securable_id"] == "platform" and grant["effect"] == "ALLOW" and grant["role_id"] in roles:
            best = max(held.get(grant["principal_id"], "VIEWER"), roles[grant["role_id"]], key=list(_ROLES).index)
            held[grant["principal_id"]] = best
    tokens = _rows(connection, _TOKEN, "id principal_id kind label digest created_at expires_at revoked_at")
    events = _rows(connection, _EVENT, "sequence id type subject principal request_id at data")
    with op.batch_alter_table("operation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_operation_finished_at"))
        batch_op.drop_column("lease_expires_at")
        batch_op.drop_column("lease_holder")
        batch_op.drop_column("result")
        batch_op.drop_column("input")
        batch_op.drop_column("saga")
        batch_op.drop_column("executor")
        batch_op.drop_column("principal_id")
        batch_op.drop_column("project_id")
        batch_op.drop_column("organization_id")

    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_token_principal_id"))
        batch_op.drop_index(batch_op.f("ix_token_family"))

    op.drop_table("token")
    op.drop_table("saga_step")
    with op.batch_alter_table("webhook_endpoint", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_webhook_endpoint_state"))
        batch_op.drop_index(batch_op.f("ix_webhook_endpoint_organization_id"))

    op.drop_table("webhook_endpoint")
    op.drop_table("setting")
    op.drop_table("revision")
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_resource_name",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.drop_index("ix_resource_project")
        batch_op.drop_index("ix_resource_organization")
        batch_op.drop_index("ix_resource_kind_name")
        batch_op.drop_index("ix_resource_kind_id")
        batch_op.drop_index("ix_resource_kind_created_at")

    op.drop_table("resource")
    with op.batch_alter_table("reference", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reference_to_id"))

    op.drop_table("reference")
    op.drop_table("recovery_code")
    with op.batch_alter_table("principal", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_principal_organization_id"))

    op.drop_table("principal")
    with op.batch_alter_table("password_history", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_password_history_principal_id"))

    op.drop_table("password_history")
    with op.batch_alter_table("outbox_seen", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_seen_seen_at"))

    op.drop_table("outbox_seen")
    with op.batch_alter_table("outbox_delivery", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_delivery_subject")
        batch_op.drop_index("ix_outbox_delivery_due")

    op.drop_table("outbox_delivery")
    op.drop_table("outbox_cursor")
    op.drop_table("one_time_password")
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_member_member_id"))

    op.drop_table("member")
    with op.batch_alter_table("invitation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_invitation_organization_id"))

    op.drop_table("invitation")
    with op.batch_alter_table("identity", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_identity_user_id"))

    op.drop_table("identity")
    with op.batch_alter_table("grant", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_grant_securable_id"))
        batch_op.drop_index(batch_op.f("ix_grant_role_id"))
        batch_op.drop_index("ix_grant_principal")
        batch_op.drop_index("ix_grant_organization")

    op.drop_table("grant")
    op.drop_table("event_head")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index("ix_event_type_sequence")
        batch_op.drop_index("ix_event_subject_sequence")
        batch_op.drop_index("ix_event_project_id_sequence")
        batch_op.drop_index("ix_event_organization_id_sequence")
        batch_op.drop_index("ix_event_kind_sequence")

    op.drop_table("event")
    op.drop_table("client_secret")
    _create_old_tables()
    for user in users:
        unchanged = {name: user[name] for name in ("id", "name", "password_hash", "created_at")}
        state = "ACTIVE" if user["state"] == "ACTIVE" else "SUSPENDED"
        defaults = {"role": held.get(user["id"], "VIEWER"), "state": state, "created_by": _BY}
        connection.execute(_PRINCIPAL.insert().values(**unchanged, **defaults, updated_at=user["created_at"]))
    for token in tokens:
        connection.execute(_TOKEN.insert().values(**token))
    for event in events:
        connection.execute(_EVENT.insert().values(**event))
    if connection.dialect.name == "postgresql" and events:
        last = max(event["sequence"] for event in events)
        connection.execute(sa.text("SELECT setval(pg_get_serial_sequence('event', 'sequence'), :last)"), {"last": last})


def _rows(connection, table, names):
    columns = [table.c[name] for name in names.split()]
    return [dict(row) for row in connection.execute(sa.select(*columns)).mappings()]


def _organization(connection):
    spec = {"title": "Default", "description": "", "region": ""}
    _store(connection, "admin.organization", _ORGANIZATION, "default", spec, {"state": "ACTIVE"}, clock.now())


def _migrate_user(connection, user):
    """Migrates the account of a user, with a resource and with their role as a grant on the platform."""
    spec = {"title": None, "emails": [], "external_id": None, "identity_provider_id": None}
    state = {"state": user["state"]}
    _store(connection, "admin.user", user["id"], user["name"], spec, state, user["created_at"])
    unchanged = {name: user[name] for name in ("id", "name", "state", "password_hash", "created_at")}
    changed = user["updated_at"] if user["password_hash"] else None
    defaults = {"kind": "USER", "organization_id": _ORGANIZATION, "password_reset_required": False}
    connection.execute(_PRINCIPAL.insert().values(**unchanged, **defaults, password_changed_at=changed))
    role = {"principal_id": user["id"], "role_id": _ROLES[user["role"]], "effect": "ALLOW", "condition": ""}
    scope = {"securable_id": "platform", "securable_kind": "platform"}
    origin = {"id": new_id("gra"), "created_by": _BY, "created_at": clock.now()}
    connection.execute(_GRANT.insert().values(**role, **scope, **origin))


def _store(connection, kind, id, name, spec, status, at):
    place = {"organization_id": _ORGANIZATION, "project_id": None, "scope_id": "platform"}
    times = {"created_at": at, "created_by": _BY, "updated_at": at, "updated_by": _BY}
    row = {"id": id, "kind": kind, "name": name, "owner": id, "state": status["state"], "generation": 1, "version": 1}
    documents = {"labels": {}, "spec": spec, "status": status}
    connection.execute(_RESOURCE.insert().values(**row, **place, **times, **documents))
    content = {"name": name, "owner": id, "organization_id": _ORGANIZATION, "project_id": None, "deleted_at": None}
    first = {"resource_id": id, "version": 1, "at": at, "by": _BY, "action": f"{kind}.create", "request_id": ""}
    connection.execute(_REVISION.insert().values(**first, changes=[], content={**content, **documents}))


def _chain(connection, events):
    """Migrates events in order, numbered without gaps and chained by their hashes."""
    hash = _GENESIS
    for sequence, event in enumerate(events, 1):
        place = {"kind": ".".join(event["type"].split(".")[:2]), "organization_id": None, "project_id": None}
        row = {**event, **place, "principal_id": "", "on_behalf_of": None, "sequence": sequence}
        row["previous_hash"] = hash
        row["hash"] = hash = _digest(row, hash)
        connection.execute(_EVENT.insert().values(**row))
    if events:
        connection.execute(_HEAD.insert().values(id=1, sequence=len(events), hash=hash))


def _digest(row, previous):
    names = ("sequence", "id", "type", "subject", "principal", "data", "request_id", "at")
    names += ("principal_id", "on_behalf_of", "kind", "organization_id", "project_id")
    values = {name: row[name] for name in names}
    values["at"] = values["at"].astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{previous}{text}".encode()).hexdigest()


def _create_old_tables():
    op.create_table(
        "event",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_event")),
        sa.UniqueConstraint("id", name=op.f("uq_event_id")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_subject"), ["subject"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_type"), ["type"], unique=False)

    op.create_table(
        "principal",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("updated_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal")),
        sa.UniqueConstraint("name", name=op.f("uq_principal_name")),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_token_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_principal_id"), ["principal_id"], unique=False)
