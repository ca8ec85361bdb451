"""Definitions that code locations share: resources, policies, and the automation of published assets."""

from datetime import timedelta

import dagster as dg

from core.definitions import RETIRED_TAG
from dagster_project.branch_runs import merge_branch, run_branch
from dagster_project.reproduction_runs import reproduce
from dagster_project.shared_resources import resources
from jobs import schedules
from jobs.sensors import landing_sensors

_GOLD_AGE = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))

_automation = dg.AutomationConditionSensorDefinition(
    "published_automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=schedules.AUTOMATION_INTERVAL_SECONDS,
    run_tags={"headwater/principal": "sensor:published_automation"},
    description="Materializes published assets whose automation condition is true.",
)


def with_policies(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Returns the asset with the policies of its group. Gold assets get a freshness policy for a daily refresh."""
    if spec.group_name == "gold" and spec.freshness_policy is None and RETIRED_TAG not in spec.tags:
        return spec.replace_attributes(freshness_policy=_GOLD_AGE)
    return spec


def with_policies_and_sensors(assets: dg.Definitions) -> dg.Definitions:
    """Returns published assets with their policies and with the sensors of their landing folders."""
    assets = assets.permissive_map_resolved_asset_specs(with_policies, selection=None)
    executable = [asset for asset in assets.assets or () if isinstance(asset, dg.AssetsDefinition)]
    sensors = landing_sensors(spec for asset in executable for spec in asset.specs)
    return dg.Definitions.merge(assets, dg.Definitions(sensors=sensors))


def shared_definitions() -> dg.Definitions:
    """Returns the definitions of the location of published assets that do not depend on the assets."""
    return dg.Definitions(
        jobs=[reproduce, run_branch, merge_branch],
        sensors=[_automation],
        resources=resources(),
        executor=dg.in_process_executor,
    )


def complete_published(assets: dg.Definitions) -> dg.Definitions:
    """Returns all definitions of the location of published assets, given the assets."""
    return dg.Definitions.merge(with_policies_and_sensors(assets), shared_definitions())
