"""Experiments: named collections of runs in a project."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.references import RefersTo
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.run_tables import RUN
from api.services.ai_catalog.scorer_tables import SCORER
from api.services.ai_catalog.trace_tables import TRACE

ExperimentReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.experiment",))]
"""An experiment."""

Tags = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=250)], Annotated[str, Field(max_length=8000)]],
    Field(max_length=500),
]
"""Free key-value pairs, as MLflow clients set them."""


class ExperimentSpec(Spec):
    """An experiment."""

    title: Annotated[Text, Field(min_length=1, max_length=500)]
    """Display name."""

    description: Text = ""
    """Question that the experiment answers."""

    tags: Tags = {}
    """Free key-value pairs, as MLflow clients set them."""


class Experiment(Resource[ExperimentSpec, NoStatus]):
    """A named collection of runs in a project. Its runs, scorers, and traces are deleted and restored with it."""


EXPERIMENT = ResourceKind(
    Experiment, plural="experiments", prefix="exp", level=Level.PROJECT, filter_by=("spec.title",)
)

_CONTENTS = (RUN, SCORER, TRACE)


@EXPERIMENT.after("delete")
def delete_contents(unit: Unit, experiment: Experiment) -> None:
    """Deletes the contents with their experiment, at the same time, so that they can be restored together."""
    for table in _CONTENTS:
        present = sa.and_(table.c.experiment_id == experiment.id, table.c.deleted_at.is_(None))
        unit.connection.execute(table.update().where(present).values(deleted_at=experiment.deleted_at))


@EXPERIMENT.before("restore")
def restore_contents(unit: Unit, experiment: Experiment) -> None:
    """Restores the contents that were deleted with their experiment."""
    deleted_at = sa.select(RESOURCE.c.deleted_at).where(RESOURCE.c.id == experiment.id).scalar_subquery()
    for table in _CONTENTS:
        deleted = sa.and_(table.c.experiment_id == experiment.id, table.c.deleted_at == deleted_at)
        unit.connection.execute(table.update().where(deleted).values(deleted_at=None))
