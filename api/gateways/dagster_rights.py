"""Permissions of the mutations of the Dagster UI. Mutations that are not listed are refused for every user."""

from __future__ import annotations

from collections.abc import Mapping

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
