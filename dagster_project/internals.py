"""All names of Dagster's private API (`dagster._*`) that the project uses.

Other modules import only the public API, as `dagster as dg`. A contract test verifies each of these names and the
behavior that the project depends on, so that an upgrade of Dagster is reviewed in one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dagster._config.config_schema import UserConfigSchema
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.definitions.repository_definition import RepositoryDefinition, RepositoryLoadData
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.execution.build_resources import wrap_resources_for_execution
from dagster._core.execution.execute_in_process import core_execute_in_process
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES
from dagster._core.storage.defs_state.base import DefsStateStorage, set_defs_state_storage
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.impl import core_execute_run
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster._utils.interrupts import capture_interrupts
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.serdes import deserialize_value, serialize_value
from dagster_shared.serdes.objects.models.defs_state_info import DefsStateInfo

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, JobDefinition

__all__ = [
    "ACTIVE_RUN_STATUSES",
    "GRPC_INFO_TAG",
    "CapturedLogContext",
    "CheckRunHealthResult",
    "ConfigurableClass",
    "ConfigurableClassData",
    "ConsolidatedSqliteEventLogStorage",
    "DagsterEvent",
    "DagsterEventType",
    "DefinitionsLoadContext",
    "DefinitionsLoadType",
    "DefsStateInfo",
    "DefsStateStorage",
    "EngineEventData",
    "InMemoryJob",
    "InstanceRef",
    "LaunchRunContext",
    "LocalComputeLogManager",
    "ModuleCodePointer",
    "ReconstructableRepository",
    "RepositoryDefinition",
    "RepositoryLoadData",
    "RunQueueConfig",
    "SqliteRunStorage",
    "SqliteScheduleStorage",
    "SubmitRunContext",
    "UserConfigSchema",
    "WorkerStatus",
    "capture_interrupts",
    "core_execute_in_process",
    "core_execute_run",
    "deserialize_value",
    "execute_assets",
    "execute_job",
    "load_state",
    "recon_job_from_origin",
    "serializable_error_info_from_exc_info",
    "serialize_value",
    "set_defs_state_storage",
    "wrap_resources_for_execution",
]


def load_state(port: int, info: DefsStateInfo) -> str:
    """Makes a code server on loopback rebuild the definitions that depend on changed state versions, in its process.

    Either all definitions change or, if they cannot be built, none. Webserver and daemon notice the change within a
    second, because they watch the id of the server.

    Returns:
        The reason for which the definitions cannot be built, or an empty text.

    Raises:
        DagsterUserCodeUnreachableError: no code server responds on the port.
    """
    reply = DagsterGrpcClient(port=port, host="127.0.0.1").reload_code_with_state(serialize_value(info))
    if not reply.serialized_error:
        return ""
    fault = deserialize_value(reply.serialized_error, SerializableErrorInfo)
    while fault.cause is not None:
        fault = fault.cause
    return fault.message.strip()


class _RepositoryJob(InMemoryJob):
    """A job in memory whose steps see the repository of the code location."""

    def __init__(self, job: JobDefinition, repository: RepositoryDefinition) -> None:
        super().__init__(job)
        self._repository = repository

    def get_repository_definition(self) -> RepositoryDefinition:
        return self._repository


def execute_assets(
    repository: RepositoryDefinition,
    assets: Sequence[AssetKey],
    *,
    resources: Mapping[str, object],
    instance: DagsterInstance,
    run_config: Mapping[str, object],
    run_id: str,
    tags: Mapping[str, str],
) -> ExecuteInProcessResult:
    """Materializes assets of a repository in this process, with other resources, in another instance.

    `JobDefinition.execute_in_process` does the same, except that steps don't see the repository.
    """
    job = repository.get_implicit_job_def_for_assets(list(assets))
    if job is None:
        raise ValueError(f"no single run can materialize {', '.join(key.to_user_string() for key in assets)}")
    # In two steps, because the selection of assets requires the resources that the assets are bound to.
    selected = job.get_subset(asset_selection=frozenset(assets))
    ephemeral = selected.as_ephemeral_job(resource_defs=wrap_resources_for_execution(resources), input_values={})
    return core_execute_in_process(
        run_config=run_config,
        job=_RepositoryJob(ephemeral, repository),
        instance=instance,
        output_capturing_enabled=False,
        raise_on_error=False,
        run_tags=tags,
        run_id=run_id,
    )


def execute_job(
    repository: RepositoryDefinition, name: str, run_config: Mapping[str, object], *, instance: DagsterInstance
) -> ExecuteInProcessResult:
    """Runs a job of a repository in this process, as a run worker does: its steps see the repository."""
    job = repository.get_job(name)
    return core_execute_in_process(
        run_config=run_config,
        job=_RepositoryJob(job, repository),
        instance=instance,
        output_capturing_enabled=False,
        raise_on_error=True,
    )
