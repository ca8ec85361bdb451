"""The code location of the repository: the definitions of the sample project, with policies and resources.

The import of this module starts no thread and opens no connection, because the zygote imports it and then forks.
"""

from pathlib import Path

import dagster as dg

from assets.audit.assets import audit_assets
from assets.datasets import assets as datasets
from dagster_project.branch_runs import merge_branch, run_branch
from dagster_project.reproduction_runs import reproduce
from dagster_project.shared_definitions import with_policies
from dagster_project.shared_resources import resources
from jobs import maintenance, schedules
from jobs.audit_versions import audit_versions
from jobs.sensors import landing_sensors


@dg.definitions
def defs() -> dg.Definitions:
    """Returns the definitions of the sample project."""
    assets = dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent), datasets.definitions()
    ).permissive_map_resolved_asset_specs(with_policies, selection=None)
    return dg.Definitions.merge(
        assets,
        dg.Definitions(
            assets=audit_assets(),
            jobs=[schedules.refresh_tables, maintenance.maintain_tables, reproduce, run_branch, merge_branch],
            schedules=[schedules.daily_refresh, maintenance.hourly_maintenance],
            sensors=[schedules.automation, audit_versions, *landing_sensors(_specs(assets))],
            resources=resources(),
            executor=dg.in_process_executor,
        ),
    )


def _specs(definitions: dg.Definitions) -> list[dg.AssetSpec]:
    # Read from the definitions: resolving the graph would need the resources, and Dagster would resolve it twice.
    assets = [asset for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)]
    return [spec for asset in assets for spec in asset.specs]
