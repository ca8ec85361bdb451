"""What every code location gives to its assets: resources, policies and, to published ones, automation."""

from datetime import timedelta

import dagster as dg

from jobs import schedules
from jobs.sensors import landing_sensors
from resources.delta import Delta
from resources.flower import Flower
from resources.gpu import Device
from resources.spark import Spark
from resources.vectors import Vectors

_GOLD_AGE = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))

_automation = dg.AutomationConditionSensorDefinition(
    "published_automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=schedules.AUTOMATION_INTERVAL_SECONDS,
    run_tags={"headwater/principal": "sensor:published_automation"},
    description="Materializes published assets whose automation condition holds.",
)


def resources() -> dict[str, object]:
    """Everything an asset can ask for, by the name of its parameter."""
    return {"delta": Delta(), "device": Device(), "flower": Flower(), "spark": Spark(), "vectors": Vectors()}


def with_policies(spec: dg.AssetSpec) -> dg.AssetSpec:
    """What holds for every asset of a kind: products must not be older than the daily refresh allows."""
    if spec.group_name == "gold" and spec.freshness_policy is None:
        return spec.replace_attributes(freshness_policy=_GOLD_AGE)
    return spec


def finish_published(assets: dg.Definitions) -> dg.Definitions:
    """Published assets with the policies that hold for them and the sensors that feed them."""
    assets = assets.permissive_map_resolved_asset_specs(with_policies, selection=None)
    made = [asset for asset in assets.assets or () if isinstance(asset, dg.AssetsDefinition)]
    sensors = landing_sensors(spec for asset in made for spec in asset.specs)
    return dg.Definitions.merge(assets, dg.Definitions(sensors=sensors))


def around_published() -> dg.Definitions:
    """What the location of published definitions has besides them."""
    return dg.Definitions(sensors=[_automation], resources=resources(), executor=dg.in_process_executor)


def location_of_published(assets: dg.Definitions) -> dg.Definitions:
    """The whole location, as it would be with these assets."""
    return dg.Definitions.merge(finish_published(assets), around_published())
