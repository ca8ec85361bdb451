"""External runs: runs of other systems, as their lineage events report them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.external_dataset import EXTERNAL_DATASET
from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET as DATASETS
from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET_USE as USES
from api.services.ai_catalog.lineage_tables import EXTERNAL_RUN as TABLE
from api.services.ai_catalog.logic.facet_values import FacetValues, run_facets


class ExternalRunState(StrEnum):
    """The state of a run of another system. NEW if no event reported that it started."""

    NEW = "NEW"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"
    FAILED = "FAILED"


class ExternalRun(Model):
    """A run of another system that lineage events report, such as a Spark application or a dbt model."""

    id: str
    """Id of the run on the platform."""

    project_id: str
    """Id of the project that the run belongs to."""

    run_id: str
    """UUID of the run, as its events name it."""

    job_namespace: str
    """Namespace of the job."""

    job_name: str
    """Name of the job."""

    state: ExternalRunState
    """State of the run, whatever the order in which its events arrived."""

    started_at: datetime | None
    """Time of the first event."""

    ended_at: datetime | None
    """Time at which the run ended. Null while it runs."""

    facets: dict[str, Any]
    """The latest facets of the run, such as its parent and its nominal time. If it used an asset whose rows the caller
    can't all read, without facets that can contain values, such as error messages."""

    created_at: datetime
    """Time at which the platform received the first event."""

    updated_at: datetime
    """Time of the last change."""

    created_by: str
    """Name of the principal that sent the first event."""


class ExternalRunDataset(Model):
    """A dataset that a run read or wrote."""

    direction: str
    """`INPUT` or `OUTPUT`."""

    dataset_id: str
    """Id of the external dataset."""

    namespace: str
    """Namespace of the dataset."""

    name: str
    """Name of the dataset."""

    version: str | None
    """Version that the run read or wrote. Null if its events name none, or one that the table of an asset does not
    have."""

    facets: dict[str, Any]
    """Facets of the dataset in this run, such as its columns and statistics. If it is an asset whose rows the caller
    can't all read, without facets that can contain values."""


class ExternalRunDatasets(Model):
    """The datasets of a run."""

    items: list[ExternalRunDataset]
    """Inputs and outputs, in the order of their names."""


def _runs(unit: Unit, rows: Sequence[Row]) -> list[ExternalRun]:
    closed = FacetValues(unit).closed_runs([row.id for row in rows])
    return [
        ExternalRun(
            **{name: row._mapping[name] for name in ExternalRun.model_fields if name != "facets"},
            facets=run_facets(row.facets, closed=row.id in closed),
        )
        for row in rows
    ]


EXTERNAL_RUN = TableKind(
    ExternalRun,
    TABLE,
    plural="external-runs",
    prefix="xrn",
    filter_by=("project_id", "run_id", "job_namespace", "job_name", "state", "started_at"),
    items=_runs,
)


@EXTERNAL_RUN.view("datasets", query=Query, result=ExternalRunDatasets)
def list_external_run_datasets(unit: Unit, run: Row, query: Query) -> ExternalRunDatasets:
    """Returns the inputs and outputs of a run."""
    select = (
        sa.select(USES, DATASETS.c.namespace, DATASETS.c.name, DATASETS.c.asset)
        .join(DATASETS, DATASETS.c.id == USES.c.dataset_id)
        .where(USES.c.owner_id == run.id, EXTERNAL_DATASET.visible(unit))
        .order_by(USES.c.direction, DATASETS.c.namespace, DATASETS.c.name, USES.c.id)
    )
    names = ExternalRunDataset.model_fields.keys() - {"facets"}
    rows, values = unit.connection.execute(select).all(), FacetValues(unit)
    values.closed(row.asset for row in rows)
    return ExternalRunDatasets(
        items=[
            ExternalRunDataset(
                **{name: row._mapping[name] for name in names}, facets=values.of_dataset(row.facets, row.asset)
            )
            for row in rows
        ]
    )
