"""Traces, evaluation datasets, and scorers"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table('evaluation_dataset_version',
    sa.Column('dataset_id', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('records', sa.Integer(), nullable=False),
    sa.Column('created_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(length=128), nullable=False),
    sa.PrimaryKeyConstraint('dataset_id', 'version', name=op.f('pk_evaluation_dataset_version')),
    )
    op.create_index(op.f('ix_evaluation_dataset_version_project_id'), 'evaluation_dataset_version', ['project_id'])
    op.create_table('evaluation_record',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('first_version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('last_version', sa.Integer(), nullable=True),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('dataset_id', sa.String(length=64), nullable=False),
    sa.Column('inputs', sa.JSON(), nullable=False),
    sa.Column('outputs', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('expectations', sa.JSON(), nullable=False),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('source', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('inputs_digest', sa.String(length=64), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('created_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(length=128), nullable=False),
    sa.Column('updated_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('updated_by', sa.String(length=128), nullable=False),
    sa.PrimaryKeyConstraint('id', 'first_version', name=op.f('pk_evaluation_record')),
    )
    op.create_index('ix_evaluation_record_inputs', 'evaluation_record', ['dataset_id', 'inputs_digest'])
    op.create_index(op.f('ix_evaluation_record_project_id'), 'evaluation_record', ['project_id'])
    op.create_index('ix_evaluation_record_versions', 'evaluation_record', ['dataset_id', 'first_version', 'id'])
    op.create_table('scorer',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('experiment_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=250), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('definition', sa.Text(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('created_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(length=128), nullable=False),
    sa.Column('deleted_at', core.db.UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_scorer')),
    )
    op.create_index(op.f('ix_scorer_project_id'), 'scorer', ['project_id'])
    op.create_index('uq_scorer_version', 'scorer', ['experiment_id', 'name', 'version'], unique=True)
    op.create_table('trace',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('experiment_id', sa.String(length=64), nullable=False),
    sa.Column('otel_id', sa.String(length=32), nullable=False),
    sa.Column('client_request_id', sa.String(length=250), nullable=False),
    sa.Column('name', sa.String(length=500), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('started_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('duration_ms', sa.BigInteger(), nullable=True),
    sa.Column('request_preview', sa.Text(), nullable=False),
    sa.Column('response_preview', sa.Text(), nullable=False),
    sa.Column('spans', sa.Integer(), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('input_tokens', sa.BigInteger(), nullable=True),
    sa.Column('output_tokens', sa.BigInteger(), nullable=True),
    sa.Column('total_tokens', sa.BigInteger(), nullable=True),
    sa.Column('complete', sa.Boolean(), nullable=False),
    sa.Column('created_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(length=128), nullable=False),
    sa.Column('deleted_at', core.db.UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_trace')),
    )
    op.create_index('ix_trace_experiment', 'trace', ['experiment_id', 'started_at', 'id'])
    op.create_index('ix_trace_otel_id', 'trace', ['otel_id'])
    op.create_index('uq_trace_otel_id', 'trace', ['project_id', 'otel_id'], unique=True)
    op.create_table('span',
    sa.Column('trace_id', sa.String(length=64), nullable=False),
    sa.Column('span_id', sa.String(length=16), nullable=False),
    sa.Column('parent_id', sa.String(length=16), nullable=True),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('status', sa.String(length=8), nullable=False),
    sa.Column('started_ns', sa.BigInteger(), nullable=False),
    sa.Column('ended_ns', sa.BigInteger(), nullable=True),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('provider', sa.Text(), nullable=False),
    sa.Column('input_tokens', sa.BigInteger(), nullable=True),
    sa.Column('output_tokens', sa.BigInteger(), nullable=True),
    sa.Column('total_tokens', sa.BigInteger(), nullable=True),
    sa.Column('input_cost', sa.Double(), nullable=True),
    sa.Column('output_cost', sa.Double(), nullable=True),
    sa.Column('total_cost', sa.Double(), nullable=True),
    sa.Column('content', sa.JSON(), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['trace_id'], ['trace.id'], name=op.f('fk_span_trace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('trace_id', 'span_id', name=op.f('pk_span'))
    )
    op.create_index('ix_span_order', 'span', ['trace_id', 'started_ns', 'span_id'])
    op.create_table('trace_assessment',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('trace_id', sa.String(length=64), nullable=False),
    sa.Column('span_id', sa.String(length=16), nullable=True),
    sa.Column('name', sa.String(length=250), nullable=False),
    sa.Column('type', sa.String(length=16), nullable=False),
    sa.Column('source_type', sa.String(length=16), nullable=False),
    sa.Column('source_id', sa.String(length=250), nullable=False),
    sa.Column('value', sa.JSON(), nullable=False),
    sa.Column('number', sa.Double(), nullable=True),
    sa.Column('error', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('rationale', sa.Text(), nullable=False),
    sa.Column('metadata', sa.JSON(), nullable=False),
    sa.Column('overrides', sa.String(length=64), nullable=True),
    sa.Column('valid', sa.Boolean(), nullable=False),
    sa.Column('created_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(length=128), nullable=False),
    sa.Column('updated_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['trace_id'], ['trace.id'], name=op.f('fk_trace_assessment_trace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_trace_assessment')),
    )
    op.create_index(op.f('ix_trace_assessment_project_id'), 'trace_assessment', ['project_id'])
    op.create_index('ix_trace_assessment_trace', 'trace_assessment', ['trace_id', 'id'])
    op.create_table('trace_link',
    sa.Column('trace_id', sa.String(length=64), nullable=False),
    sa.Column('type', sa.String(length=16), nullable=False),
    sa.Column('target', sa.String(length=200), nullable=False),
    sa.Column('version', sa.String(length=128), nullable=False),
    sa.ForeignKeyConstraint(['trace_id'], ['trace.id'], name=op.f('fk_trace_link_trace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('trace_id', 'type', 'target', 'version', name=op.f('pk_trace_link'))
    )
    op.create_index('ix_trace_link_target', 'trace_link', ['type', 'target'])
    op.create_table('trace_metadata',
    sa.Column('trace_id', sa.String(length=64), nullable=False),
    sa.Column('key', sa.String(length=250), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['trace_id'], ['trace.id'], name=op.f('fk_trace_metadata_trace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('trace_id', 'key', name=op.f('pk_trace_metadata'))
    )
    op.create_table('trace_tag',
    sa.Column('trace_id', sa.String(length=64), nullable=False),
    sa.Column('key', sa.String(length=250), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['trace_id'], ['trace.id'], name=op.f('fk_trace_tag_trace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('trace_id', 'key', name=op.f('pk_trace_tag'))
    )


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("trace_tag")
    op.drop_table("trace_metadata")
    op.drop_table("trace_link")
    op.drop_table("trace_assessment")
    op.drop_table("span")
    op.drop_table("trace")
    op.drop_table("scorer")
    op.drop_table("evaluation_record")
    op.drop_table("evaluation_dataset_version")
