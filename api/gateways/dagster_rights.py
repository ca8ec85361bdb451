"""Permissions of the mutations of the Dagster UI. Mutations that are not listed are refused for every user."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Scope

from api.kernel.http.state import state_of
from api.kernel.permissions.graph import READ_ROWS
from api.kernel.securable import ROOT
from core.errors import PermissionDenied

ENTER = "platform.dagster.enter"
"""Permission to view the Dagster UI, which shows all projects."""

CHANGE = "platform.dagster.change"
"""Permission to make changes in the Dagster UI."""

_CHANGES = (
    *("addDynamicPartition", "deleteDynamicPartitions"),
    *(
        "launchRun",
        "launchMultipleRuns",
        "launchPipelineExecution",
        "launchPipelineReexecution",
        "launchRunReexecution",
    ),
    *("launchPartitionBackfill", "cancelPartitionBackfill", "resumePartitionBackfill", "reexecutePartitionBackfill"),
    *("terminateRun", "terminateRuns", "terminatePipelineExecution", "deleteRun", "deletePipelineRun"),
    *("startSchedule", "stopRunningSchedule", "resetSchedule", "scheduleDryRun"),
    *("startSensor", "stopSensor", "resetSensor", "setSensorCursor", "sensorDryRun", "setAutoMaterializePaused"),
    *("setConcurrencyLimit", "deleteConcurrencyLimit", "freeConcurrencySlots", "freeConcurrencySlotsForRun"),
    *("reloadRepositoryLocation", "reloadWorkspace"),
    *("reportRunlessAssetEvents", "reportAssetCheckEvaluations", "wipeAssets"),
    *("setNuxSeen", "logTelemetry"),
)

MUTATIONS: Mapping[str, str] = dict.fromkeys(_CHANGES, CHANGE)
"""Permission of each GraphQL mutation, by name."""

REFUSED = frozenset(
    {"deleteAppManagedComponent", "refreshComponentState", "setAppManagedComponent", "shutdownRepositoryLocation"}
)
"""Mutations that are never forwarded. The first three publish definitions without validation by the platform.
The last stops a process of the supervisor."""

REPORTS = ("report_asset_check", "report_asset_materialization", "report_asset_observation")
"""REST endpoints of Dagster that record events of assets. Each needs `CHANGE`."""


def may_view(scope: Scope) -> bool:
    """Returns whether the caller of a request may view the Dagster UI.

    It shows failing rows, statistics, and error messages of all tables, and can't hide them from single callers.
    Therefore it needs the right to read the rows of everything, and no policy that restricts the caller.
    """
    principal = state_of(scope).principal
    if principal is None:
        return False
    access = principal.access
    return access.allows(ENTER, ROOT) and access.everywhere(READ_ROWS) and not access.reader.policies


def require_view(scope: Scope) -> None:
    """Requires the right to view the Dagster UI.

    Raises:
        PermissionDenied: the caller can't read the rows of all tables.
    """
    if not may_view(scope):
        raise PermissionDenied(
            f"The Dagster UI shows values of all tables. It needs the permission {READ_ROWS} on the platform, and no "
            "policy may restrict you. The API shows the assets and runs that you may see."
        )
