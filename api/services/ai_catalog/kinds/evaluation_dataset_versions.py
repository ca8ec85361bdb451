"""The versions of an evaluation dataset."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.services.ai_catalog.evaluation_dataset_tables import EVALUATION_DATASET_VERSION as VERSION
from api.services.ai_catalog.kinds.evaluation_dataset import EVALUATION_DATASET, EvaluationDataset


class DatasetVersionsQuery(Query):
    """A page of versions."""

    before: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """Returns versions before this one."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of versions."""


class DatasetVersion(Model):
    """A version of an evaluation dataset."""

    version: int
    """Number."""

    digest: str
    """SHA-256 of the contents of all records."""

    records: int
    """Number of records."""

    created_at: datetime
    """Time of the change."""

    created_by: str
    """Name of the principal that made it."""


class DatasetVersions(Model):
    """Versions of an evaluation dataset, newest first."""

    items: list[DatasetVersion]
    """The versions."""


@EVALUATION_DATASET.view("versions", query=DatasetVersionsQuery, result=DatasetVersions)
def get_evaluation_dataset_versions(
    unit: Unit, dataset: EvaluationDataset, query: DatasetVersionsQuery
) -> DatasetVersions:
    """Lists the versions, newest first."""
    select = sa.select(VERSION).where(VERSION.c.dataset_id == dataset.id)
    if query.before is not None:
        select = select.where(VERSION.c.version < query.before)
    rows = unit.connection.execute(select.order_by(VERSION.c.version.desc()).limit(query.page_size))
    names = DatasetVersion.model_fields
    return DatasetVersions(items=[DatasetVersion(**{name: row._mapping[name] for name in names}) for row in rows])
