"""External datasets: what other systems read and wrote, as their lineage events name it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model
from api.kernel.permissions.graph import visible_assets
from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET as TABLE
from api.services.ai_catalog.logic.facet_values import FacetValues


class ExternalDataset(Model):
    """A dataset that lineage events of other systems name, such as a file, a topic, or a table of a warehouse."""

    id: str
    """Id of the dataset."""

    project_id: str
    """Id of the project that the dataset belongs to."""

    namespace: str
    """Namespace of the dataset, such as `postgres://warehouse:5432`."""

    name: str
    """Name of the dataset in its namespace."""

    asset: str | None
    """Id of the asset of the platform that the dataset is. Null for others, and for assets you cannot see."""

    facets: dict[str, Any]
    """The latest facets of the dataset, such as its schema. If it is an asset whose rows the caller can't all read,
    without facets that can contain values."""

    created_at: datetime
    """Time at which an event named it first."""

    updated_at: datetime
    """Time of the last change."""


def _datasets(unit: Unit, rows: Sequence[Row]) -> list[ExternalDataset]:
    is_visible, values = visible_assets(unit.platform, unit.principal.access), FacetValues(unit)
    values.closed(row.asset for row in rows)
    return [
        ExternalDataset(
            **{name: row._mapping[name] for name in ExternalDataset.model_fields if name not in ("asset", "facets")},
            asset=row.asset if row.asset and is_visible(row.asset) else None,
            facets=values.of_dataset(row.facets, row.asset),
        )
        for row in rows
    ]


EXTERNAL_DATASET = TableKind(
    ExternalDataset,
    TABLE,
    plural="external-datasets",
    prefix="xds",
    filter_by=("project_id", "namespace", "name"),
    items=_datasets,
)
