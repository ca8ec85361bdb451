"""Scorers: how answers of an application are judged. The platform stores their definitions and never executes them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, ExperimentReference
from api.services.ai_catalog.logic.run_rows import Key
from api.services.ai_catalog.scorer_tables import SCORER as TABLE


class Scorer(Model):
    """A version of a scorer of an experiment. The platform stores its definition and never executes it."""

    id: str
    """Id of the version."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    experiment_id: str
    """Id of the experiment."""

    name: str
    """Name of the scorer in its experiment."""

    version: int
    """Number of the version."""

    definition: str
    """The scorer as text, as the client serialized it."""

    digest: str
    """SHA-256 of the definition."""

    created_at: datetime
    """Time at which it was created."""

    created_by: str
    """Name of the principal that created it."""


class NewScorer(Request):
    """A version of a scorer to store."""

    experiment_id: ExperimentReference
    """Id of the experiment."""

    name: Key
    """Name of the scorer."""

    definition: Annotated[str, Field(min_length=1, max_length=500_000)]
    """The scorer as text."""


SCORER = TableKind(
    Scorer,
    TABLE,
    plural="scorers",
    prefix="scr",
    filter_by=("experiment_id", "name", "version", "digest", "created_by", "created_at"),
)


@SCORER.creation(request=NewScorer, result=Scorer)
def create_scorer(unit: Unit, request: NewScorer) -> Scorer:
    """Stores the next version of a scorer."""
    experiment = unit.row(EXPERIMENT, request.experiment_id)
    numbers = sa.select(sa.func.max(TABLE.c.version)).where(
        TABLE.c.experiment_id == experiment.id, TABLE.c.name == request.name
    )
    return SCORER.add(
        unit,
        organization_id=experiment.organization_id,
        project_id=experiment.project_id,
        experiment_id=experiment.id,
        name=request.name,
        version=(unit.connection.execute(numbers).scalar() or 0) + 1,
        definition=request.definition,
        digest=hashlib.sha256(request.definition.encode()).hexdigest(),
        created_at=unit.now,
        created_by=unit.principal.name,
    )


@SCORER.deletion()
def delete_scorer(unit: Unit, scorer: Row) -> None:
    """Deletes a version of a scorer. Its number is never used again."""
    unit.connection.execute(TABLE.update().where(TABLE.c.id == scorer.id).values(deleted_at=unit.now))
