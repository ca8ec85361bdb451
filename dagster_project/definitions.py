"""Composition root of the Dagster side: everything of the sample project, and the policies that hold for all of it.

Importing this module starts no thread and opens no connection, because the warm launcher forks from a process that has
done so.
"""

from datetime import timedelta
from pathlib import Path

import dagster as dg

from assets.datasets import assets as datasets
from jobs import maintenance, schedules
from jobs.sensors import landing_sensors
from resources.delta import Delta
from resources.flower import Flower
from resources.spark import Spark
from resources.vectors import Vectors

_GOLD_AGE = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))


def resources() -> dict[str, object]:
    """Everything an asset can ask for, by the name of its parameter."""
    return {"delta": Delta(), "flower": Flower(), "spark": Spark(), "vectors": Vectors()}


def with_policies(spec: dg.AssetSpec) -> dg.AssetSpec:
    """What holds for every asset of a kind: products must not be older than the daily refresh allows."""
    if spec.group_name == "gold" and spec.freshness_policy is None:
        return spec.replace_attributes(freshness_policy=_GOLD_AGE)
    return spec


@dg.definitions
def defs() -> dg.Definitions:
    """The sample project."""
    assets = dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent), datasets.definitions()
    ).permissive_map_resolved_asset_specs(with_policies, selection=None)
    return dg.Definitions.merge(
        assets,
        dg.Definitions(
            jobs=[schedules.refresh_tables, maintenance.maintain_tables],
            schedules=[schedules.daily_refresh, maintenance.hourly_maintenance],
            sensors=[schedules.automation, *landing_sensors(_specs(assets))],
            resources=resources(),
            executor=dg.in_process_executor,
        ),
    )


def _specs(definitions: dg.Definitions) -> list[dg.AssetSpec]:
    # Read off the definitions: resolving the graph would need the resources, and would do the work twice.
    made = [asset for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)]
    return [spec for asset in made for spec in asset.specs]
