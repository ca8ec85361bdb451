"""Column lineage in the metadata of a materialization, in the form that Dagster shows."""

from typing import Any

import dagster as dg

from core.ids import asset_key
from lakehouse.column_sources import Sources


def lineage_metadata(sources: Sources | None) -> dict[str, Any]:
    """Returns the metadata entry for column sources; none if they are unknown."""
    if sources is None:
        return {}
    deps = {
        name: [
            dg.TableColumnDep(asset_key=dg.AssetKey(asset_key(table)), column_name=column)
            for table, column in sorted(used)
        ]
        for name, used in sources.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}
