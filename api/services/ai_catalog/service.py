"""The AI catalog service."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.ai_catalog.kinds import (
    access_decision,
    artifact_collection,
    artifact_upload_parts,
    asset_access,
    asset_as_of,
    asset_column_lineage,
    asset_explanation,
    asset_export,
    asset_graph,
    asset_history,
    asset_impact,
    asset_lineage,
    asset_plan,
    asset_profile,
    asset_provenance_diff,
    asset_provenance_export,
    asset_reports,
    asset_reproduction,
    asset_rows,
    asset_run_control,
    asset_run_parts,
    asset_schema_history,
    asset_search,
    asset_split,
    asset_tags,
    attestation_verification,
    branch_definition,
    branch_merge,
    branch_run,
    contract_agreement,
    contract_status,
    dataset_croissant,
    definition_component,
    definition_publication,
    definition_revision,
    definition_validation,
    evaluation_dataset_versions,
    experiment_results,
    feature_retrieval,
    feature_service_retrieval,
    feature_view_backfill,
    feature_view_drift,
    feature_view_freshness,
    feature_view_operations,
    feature_view_served_drift,
    feature_view_statistics,
    logged_model_metrics,
    logged_model_scan,
    model_reproduction,
    model_signature,
    model_version_card,
    model_version_comparison,
    model_version_download,
    model_version_lineage,
    model_version_stages,
    pipeline_diff,
    pipeline_publication,
    pipeline_run_control,
    pipeline_run_parts,
    pipeline_start,
    policy_effects,
    provenance_search,
    recipient_tokens,
    registered_model_aliases,
    run_batch,
    run_inputs,
    run_metrics,
    run_search,
    share_grants,
    share_objects,
    tag_assignment,
    term_link,
    trace_search,
    trace_spans,
    trace_statistics,
)
from api.services.ai_catalog.kinds.access_request import ACCESS_REQUEST
from api.services.ai_catalog.kinds.artifact import ARTIFACT
from api.services.ai_catalog.kinds.artifact_upload import ARTIFACT_UPLOAD
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.asset_run import ASSET_RUN
from api.services.ai_catalog.kinds.attestation import ATTESTATION
from api.services.ai_catalog.kinds.branch import BRANCH
from api.services.ai_catalog.kinds.contract import CONTRACT
from api.services.ai_catalog.kinds.dataset import DATASET
from api.services.ai_catalog.kinds.definition import DEFINITION
from api.services.ai_catalog.kinds.entity import ENTITY
from api.services.ai_catalog.kinds.evaluation import EVALUATION
from api.services.ai_catalog.kinds.evaluation_dataset import EVALUATION_DATASET
from api.services.ai_catalog.kinds.evaluation_run import EVALUATION_RUN
from api.services.ai_catalog.kinds.experiment import EXPERIMENT
from api.services.ai_catalog.kinds.external_dataset import EXTERNAL_DATASET
from api.services.ai_catalog.kinds.external_run import EXTERNAL_RUN
from api.services.ai_catalog.kinds.feature_service import FEATURE_SERVICE
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.kinds.glossary_term import GLOSSARY_TERM
from api.services.ai_catalog.kinds.lineage_event import LINEAGE_EVENT
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION
from api.services.ai_catalog.kinds.pipeline import PIPELINE
from api.services.ai_catalog.kinds.pipeline_run import PIPELINE_RUN
from api.services.ai_catalog.kinds.policy import POLICY
from api.services.ai_catalog.kinds.prompt import PROMPT
from api.services.ai_catalog.kinds.prompt_version import PROMPT_VERSION
from api.services.ai_catalog.kinds.query import QUERY
from api.services.ai_catalog.kinds.recipient import RECIPIENT
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL
from api.services.ai_catalog.kinds.release import RELEASE
from api.services.ai_catalog.kinds.reproduction import REPRODUCTION
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.kinds.saved_query import SAVED_QUERY
from api.services.ai_catalog.kinds.schedule import SCHEDULE
from api.services.ai_catalog.kinds.scorer import SCORER
from api.services.ai_catalog.kinds.search import SEARCH
from api.services.ai_catalog.kinds.sensor import SENSOR
from api.services.ai_catalog.kinds.share import SHARE
from api.services.ai_catalog.kinds.stage_request import STAGE_REQUEST
from api.services.ai_catalog.kinds.subscription import SUBSCRIPTION
from api.services.ai_catalog.kinds.tag import TAG
from api.services.ai_catalog.kinds.trace import TRACE
from api.services.ai_catalog.kinds.trace_assessment import TRACE_ASSESSMENT
from api.services.ai_catalog.kinds.training_set import TRAINING_SET
from api.services.ai_catalog.logic import feature_retrievals

PARTS = (
    access_decision,
    artifact_collection,
    artifact_upload_parts,
    asset_access,
    asset_as_of,
    asset_column_lineage,
    asset_explanation,
    asset_export,
    asset_graph,
    asset_history,
    asset_impact,
    asset_lineage,
    asset_plan,
    asset_profile,
    asset_provenance_diff,
    asset_provenance_export,
    asset_reports,
    asset_reproduction,
    asset_rows,
    asset_schema_history,
    asset_search,
    asset_split,
    asset_tags,
    attestation_verification,
    branch_definition,
    branch_merge,
    branch_run,
    contract_agreement,
    contract_status,
    dataset_croissant,
    definition_component,
    definition_publication,
    definition_revision,
    definition_validation,
    evaluation_dataset_versions,
    experiment_results,
    feature_retrieval,
    feature_service_retrieval,
    feature_view_backfill,
    feature_view_drift,
    feature_view_freshness,
    feature_view_operations,
    feature_view_served_drift,
    feature_view_statistics,
    logged_model_metrics,
    logged_model_scan,
    model_reproduction,
    model_signature,
    model_version_card,
    model_version_comparison,
    model_version_download,
    model_version_lineage,
    model_version_stages,
    pipeline_diff,
    pipeline_publication,
    asset_run_control,
    asset_run_parts,
    pipeline_run_control,
    pipeline_run_parts,
    pipeline_start,
    policy_effects,
    provenance_search,
    recipient_tokens,
    registered_model_aliases,
    run_batch,
    run_inputs,
    run_metrics,
    run_search,
    share_grants,
    share_objects,
    tag_assignment,
    term_link,
    trace_search,
    trace_spans,
    trace_statistics,
)
"""Modules that register operations on other kinds."""

SERVICE = Service(
    "ai_catalog",
    "AI catalogue",
    [
        ACCESS_REQUEST,
        ARTIFACT,
        ARTIFACT_UPLOAD,
        ASSET,
        ATTESTATION,
        BRANCH,
        CONTRACT,
        DATASET,
        DEFINITION,
        ENTITY,
        EVALUATION,
        EVALUATION_DATASET,
        EVALUATION_RUN,
        EXPERIMENT,
        EXTERNAL_DATASET,
        EXTERNAL_RUN,
        FEATURE_SERVICE,
        FEATURE_VIEW,
        GLOSSARY_TERM,
        LINEAGE_EVENT,
        LOGGED_MODEL,
        MODEL_VERSION,
        PIPELINE,
        ASSET_RUN,
        PIPELINE_RUN,
        POLICY,
        PROMPT,
        PROMPT_VERSION,
        QUERY,
        RECIPIENT,
        REGISTERED_MODEL,
        RELEASE,
        REPRODUCTION,
        RUN,
        SCHEDULE,
        SCORER,
        SEARCH,
        SENSOR,
        SHARE,
        STAGE_REQUEST,
        SUBSCRIPTION,
        TAG,
        TRACE,
        TRACE_ASSESSMENT,
        TRAINING_SET,
        SAVED_QUERY,
    ],
    description="Assets with health, staleness, lineage, and versions, and their definitions and automation; "
    "experiments, runs, their files, models, and traces; "
    "entities, feature views, and feature services; "
    "pipelines and their runs; "
    "shares of tables with recipients outside the platform.",
    sagas=[feature_retrievals.SAGA],
)
