"""All names of Dagster's private API (`dagster._*`) that the project uses.

Other modules import only the public API, as `dagster as dg`. A contract test verifies each of these names and the
behavior that the project depends on, so that an upgrade of Dagster is reviewed in one place.
"""

from __future__ import annotations

from dagster._config.config_schema import UserConfigSchema
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.definitions.repository_definition import RepositoryDefinition, RepositoryLoadData
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
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
    "core_execute_run",
    "deserialize_value",
    "load_state",
    "recon_job_from_origin",
    "serializable_error_info_from_exc_info",
    "serialize_value",
    "set_defs_state_storage",
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
