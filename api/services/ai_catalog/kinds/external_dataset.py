"""External datasets: what other systems read and wrote, as their lineage events name it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model
from api.kernel.permissions.graph import visible_assets
from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET as TABLE


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
    """The latest facets of the dataset, such as its schema."""

    created_at: datetime
    """Time at which an event named it first."""

    updated_at: datetime
    """Time of the last change."""


def _dataset(unit: Unit, row: Row) -> ExternalDataset:
    values = {name: row._mapping[name] for name in ExternalDataset.model_fields if name != "asset"}
    visible = bool(row.asset) and visible_assets(unit.platform, unit.principal.access)(row.asset)
    return ExternalDataset(**values, asset=row.asset if visible else None)


EXTERNAL_DATASET = TableKind(
    ExternalDataset,
    TABLE,
    plural="external-datasets",
    prefix="xds",
    filter_by=("project_id", "namespace", "name"),
    item=_dataset,
)
