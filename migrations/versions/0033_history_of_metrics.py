"""Logged values of metrics in the lakehouse"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.add_column("run", sa.Column("has_history", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "metric_history",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("moved_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metric_history")),
    )
    _order(["step", "at_ms", "key", "bits"], rowid=False)


def _order(key: list[str], *, rowid: bool) -> None:
    """Creates the table of logged values again, with another order of its primary key."""
    names = ", ".join(["run_id", *key])
    numbers = ("step", "at_ms", "bits")
    op.rename_table("metric_point", "metric_point_before")
    if op.get_bind().dialect.name == "postgresql":  # names of constraints are unique in a schema
        op.execute("ALTER TABLE metric_point_before DROP CONSTRAINT pk_metric_point")
    op.create_table(
        "metric_point",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)
            if name in numbers
            else sa.Column(name, sa.String(length=250), nullable=False)
            for name in key
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_metric_point_run_id_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", *key, name=op.f("pk_metric_point")),
        sqlite_with_rowid=rowid,
    )
    op.execute(f"INSERT INTO metric_point ({names}) SELECT {names} FROM metric_point_before")  # noqa: S608
    op.drop_table("metric_point_before")


def downgrade() -> None:
    """Reverts the change. Values that moved to the lakehouse are not in the history any more."""
    _order(["key", "step", "at_ms", "bits"], rowid=True)
    op.drop_table("metric_history")
    with op.batch_alter_table("run") as batch_op:
        batch_op.drop_column("has_history")
