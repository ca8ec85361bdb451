"""Reports new versions of the audit tables, which the API writes, to Dagster."""

import json
from typing import Any

import dagster as dg
from dagster import AssetMaterialization

from core.audit import TABLES
from core.ids import asset_key
from resources.delta import Delta

INTERVAL_SECONDS = 60


@dg.sensor(
    name="audit_versions",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports the newest version of each table of the audit log as a materialization, once.",
)
def audit_versions(context: dg.SensorEvaluationContext, delta: Delta) -> dg.SensorResult | dg.SkipReason:
    """Reports the newest version of each table, if it's new since the last tick. Versions in between are skipped."""
    reported = json.loads(context.cursor or "{}")
    tables = delta.tables()
    newest = {name: tables.snapshot(name) for name in TABLES if tables.exists(name)}
    new = [snapshot for name, snapshot in newest.items() if reported.get(name) != snapshot.data_version]
    if not new:
        return dg.SkipReason("No table of the audit log has a new version.")
    return dg.SensorResult(
        skip_reason=f"Reported new versions of {', '.join(snapshot.table for snapshot in new)}.",
        asset_events=[_materialization(snapshot) for snapshot in new],
        cursor=json.dumps({name: snapshot.data_version for name, snapshot in newest.items()}),
    )


def _materialization(snapshot: Any) -> AssetMaterialization:
    return AssetMaterialization(
        asset_key=asset_key(snapshot.table),
        description="Written by the API.",
        metadata={
            "delta/table_id": snapshot.table_id,
            "delta/version": snapshot.version,
            "dagster/row_count": snapshot.row_count,
        },
        tags={"dagster/data_version": snapshot.data_version},
    )
