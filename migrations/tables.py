"""The tables of the metadata database: it imports every module that adds tables to `METADATA`."""

# ruff: noqa: F401 - all imports are for their effect
import api.kernel.lake.releases
import api.kernel.outbox.tables
import api.kernel.sagas.steps
import api.kernel.tables
import api.services.admin.login_tables
import api.services.admin.preference_tables
import api.services.ai_catalog.access_tables
import api.services.ai_catalog.artifact_tables
import api.services.ai_catalog.attestation_tables
import api.services.ai_catalog.branch_tables
import api.services.ai_catalog.dataset_tables
import api.services.ai_catalog.evaluation_dataset_tables
import api.services.ai_catalog.evaluation_tables
import api.services.ai_catalog.glossary_tables
import api.services.ai_catalog.lineage_tables
import api.services.ai_catalog.model_tables
import api.services.ai_catalog.prompt_tables
import api.services.ai_catalog.reproduction_tables
import api.services.ai_catalog.run_tables
import api.services.ai_catalog.scorer_tables
import api.services.ai_catalog.sharing_tables
import api.services.ai_catalog.stage_tables
import api.services.ai_catalog.subscription_tables
import api.services.ai_catalog.tag_tables
import api.services.ai_catalog.trace_tables
import api.services.ai_catalog.upload_tables
import api.services.connections.connection_tables
import api.services.connections.storage_tables
import connectors.secrets
import core.contracts
import core.definition_revisions
import core.definitions
import core.events
import core.leases
import core.pipelines
import lakehouse.column_sources
import lakehouse.landing_record
import lakehouse.ledger
import lakehouse.lineage
import lakehouse.pins
import lakehouse.pipeline_inputs
from core.db import METADATA

__all__ = ["METADATA"]
