"""The asset graph as text, so that it changes on purpose only.

`python -m tests.asset_graph` writes `tests/assets/graph.json` again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

SNAPSHOT = Path(__file__).parent / "assets" / "graph.json"


def describe(definitions: dg.Definitions) -> dict[str, Any]:
    """Assets with what a reader of the graph relies on, and everything that starts runs."""
    repository = definitions.get_repository_def()
    checks = repository.asset_graph.asset_check_keys
    return {
        "assets": {
            ".".join(spec.key.path): {
                "deps": sorted(".".join(dep.asset_key.path) for dep in spec.deps),
                "group": spec.group_name,
                "owners": list(spec.owners),
                "kinds": sorted(spec.kinds),
                "automation": spec.automation_condition.get_label() if spec.automation_condition else None,
                "partitioned": spec.partitions_def is not None,
                "checks": {
                    key.name: "blocking" if repository.asset_graph.get_check_spec(key).blocking else "informative"
                    for key in sorted(checks)
                    if key.asset_key == spec.key
                },
            }
            for spec in sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key)
        },
        "jobs": sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
        "schedules": {
            schedule.name: f"{schedule.cron_schedule}, {schedule.default_status.value}"
            for schedule in repository.schedule_defs
        },
        "sensors": {
            sensor.name: f"every {sensor.minimum_interval_seconds} s, {sensor.default_status.value}"
            for sensor in repository.sensor_defs
        },
    }


def text(definitions: dg.Definitions) -> str:
    """The description as it is stored."""
    return json.dumps(describe(definitions), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    from dagster_project.definitions import defs

    SNAPSHOT.write_text(text(defs()))
