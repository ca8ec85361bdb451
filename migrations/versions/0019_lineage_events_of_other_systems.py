"""Lineage events of other systems"""

import sqlalchemy as sa
from alembic import op
import core.db

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table('external_dataset',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('namespace', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('asset', sa.String(length=200), nullable=False),
    sa.Column('facets', sa.JSON(), nullable=False),
    sa.Column('facet_times', sa.JSON(), nullable=False),
    sa.Column('created_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('updated_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_external_dataset')),
    sa.UniqueConstraint('project_id', 'key', name=op.f('uq_external_dataset_project_id_key'))
    )
    with op.batch_alter_table('external_dataset', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_external_dataset_asset'), ['asset'], unique=False)

    op.create_table('external_dataset_use',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('owner_id', sa.String(length=64), nullable=False),
    sa.Column('dataset_id', sa.String(length=64), nullable=False),
    sa.Column('direction', sa.String(length=8), nullable=False),
    sa.Column('version', sa.Text(), nullable=True),
    sa.Column('previous', sa.String(length=128), nullable=True),
    sa.Column('facets', sa.JSON(), nullable=False),
    sa.Column('facet_times', sa.JSON(), nullable=False),
    sa.Column('updated_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_external_dataset_use')),
    sa.UniqueConstraint('owner_id', 'dataset_id', 'direction', name=op.f('uq_external_dataset_use_owner_id_dataset_id_direction'))
    )
    with op.batch_alter_table('external_dataset_use', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_external_dataset_use_dataset_id'), ['dataset_id'], unique=False)

    op.create_table('external_job',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('namespace', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('facets', sa.JSON(), nullable=False),
    sa.Column('facet_times', sa.JSON(), nullable=False),
    sa.Column('latest_run', sa.String(length=64), nullable=True),
    sa.Column('latest_run_at', core.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('created_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('updated_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_external_job')),
    sa.UniqueConstraint('project_id', 'key', name=op.f('uq_external_job_project_id_key'))
    )
    op.create_table('external_run',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('job_id', sa.String(length=64), nullable=False),
    sa.Column('job_namespace', sa.Text(), nullable=False),
    sa.Column('job_name', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('state_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('started_at', core.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('ended_at', core.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('facets', sa.JSON(), nullable=False),
    sa.Column('facet_times', sa.JSON(), nullable=False),
    sa.Column('created_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('updated_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(length=128), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_external_run')),
    sa.UniqueConstraint('project_id', 'run_id', name=op.f('uq_external_run_project_id_run_id'))
    )
    with op.batch_alter_table('external_run', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_external_run_job_id'), ['job_id'], unique=False)
        batch_op.create_index('ix_external_run_run_id', ['run_id'], unique=False)

    op.create_table('lineage_event',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('type', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('event_time', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('producer', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=True),
    sa.Column('job_namespace', sa.Text(), nullable=True),
    sa.Column('job_name', sa.Text(), nullable=True),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('findings', sa.JSON(), nullable=False),
    sa.Column('received_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(length=128), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lineage_event')),
    sa.UniqueConstraint('project_id', 'digest', name=op.f('uq_lineage_event_project_id_digest'))
    )
    with op.batch_alter_table('lineage_event', schema=None) as batch_op:
        batch_op.create_index('ix_lineage_event_time', ['project_id', 'event_time'], unique=False)



def downgrade() -> None:
    """Reverts the change."""
    with op.batch_alter_table('lineage_event', schema=None) as batch_op:
        batch_op.drop_index('ix_lineage_event_time')

    op.drop_table('lineage_event')
    with op.batch_alter_table('external_run', schema=None) as batch_op:
        batch_op.drop_index('ix_external_run_run_id')
        batch_op.drop_index(batch_op.f('ix_external_run_job_id'))

    op.drop_table('external_run')
    op.drop_table('external_job')
    with op.batch_alter_table('external_dataset_use', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_external_dataset_use_dataset_id'))

    op.drop_table('external_dataset_use')
    with op.batch_alter_table('external_dataset', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_external_dataset_asset'))

    op.drop_table('external_dataset')
