"""Schedules, and the sensor that evaluates automation conditions."""

import dagster as dg

from jobs.selections import TABLES

AUTOMATION_INTERVAL_SECONDS = 10

refresh_tables = dg.define_asset_job(
    "refresh_tables",
    selection=TABLES,
    description="Ingests the sources again and computes every table that depends on them.",
    tags={"headwater/principal": "schedule:daily_refresh"},
)

daily_refresh = dg.ScheduleDefinition(
    name="daily_refresh",
    job=refresh_tables,
    cron_schedule="0 6 * * *",
    execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every morning at six in New York, when the last flights of the previous day have landed.",
)

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    # Dagster's built-in sensor is stopped by default, so automation conditions would have no effect.
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=AUTOMATION_INTERVAL_SECONDS,
    run_tags={"headwater/principal": "sensor:automation"},
    description="Materializes assets whose automation condition holds.",
)
