"""Revisions of published definitions, and the definitions of branches"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    with op.batch_alter_table("definition") as batch_op:
        batch_op.add_column(sa.Column("published_revision", sa.Integer(), nullable=True))
    op.create_table(
        "definition_revision",
        sa.Column("asset_id", sa.String(length=200), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("component", sa.String(length=64), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("reads", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("code_versions", sa.JSON(), nullable=False),
        sa.Column("published_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", "revision", name=op.f("pk_definition_revision")),
    )
    op.create_table(
        "branch_definition",
        sa.Column("branch_id", sa.String(length=64), nullable=False),
        sa.Column("asset_id", sa.String(length=200), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("component", sa.String(length=64), nullable=True),
        sa.Column("attributes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("reads", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("code_versions", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_branch_definition_branch_id_branch"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("branch_id", "asset_id", name=op.f("pk_branch_definition")),
    )
    _record_published(op.get_bind())


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("branch_definition")
    op.drop_table("definition_revision")
    with op.batch_alter_table("definition") as batch_op:
        batch_op.drop_column("published_revision")


def _record_published(connection: sa.Connection) -> None:
    """Records what is published now. Its code versions aren't known, so only branches find these revisions."""
    definition = sa.Table("definition", sa.MetaData(), autoload_with=connection)
    claim = sa.Table("asset_claim", sa.MetaData(), autoload_with=connection)
    revision = sa.Table("definition_revision", sa.MetaData(), autoload_with=connection)
    for row in connection.execute(sa.select(definition).where(definition.c.published_at.is_not(None))).all():
        same = (row.attributes, row.component) == (row.published_attributes, row.published_component)
        number = row.revision if same else max(row.revision - 1, 1)
        claimed = connection.execute(sa.select(claim.c.asset_id).where(claim.c.definition == row.asset_id)).scalars()
        connection.execute(
            revision.insert().values(
                asset_id=row.asset_id,
                revision=number,
                component=row.published_component,
                attributes=row.published_attributes,
                reads=sa.null() if row.published_reads is None else row.published_reads,
                code_versions=dict.fromkeys(claimed.all() or [row.asset_id], ""),
                published_at=row.published_at,
                published_by=row.published_by,
            )
        )
        same_definition = definition.c.asset_id == row.asset_id
        connection.execute(definition.update().where(same_definition).values(published_revision=number))
