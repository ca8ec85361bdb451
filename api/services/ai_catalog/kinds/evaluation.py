"""Evaluations: suites that measure versions of models on a dataset, with thresholds that a version must reach."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.lake.names import AssetId
from api.kernel.lake.versions import Version
from api.kernel.models import Request
from api.kernel.roles import Role

Expression = Annotated[str, Field(min_length=1, max_length=2000)]
"""An SQL expression."""


class Threshold(Request):
    """A condition on the results of an evaluation."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    """Name of the threshold."""

    condition: Expression
    """Aggregate condition in SQL, such as `avg(CAST(correct AS DOUBLE)) >= 0.9`. Null counts as failed."""

    where: Annotated[str, Field(max_length=2000)] = ""
    """Rows that count, as a condition in SQL. By default all rows."""


class EvaluationSpec(Spec):
    """A suite that measures versions of models."""

    title: Annotated[Text, Field(min_length=1, max_length=256)]
    """Display name."""

    description: Text = ""
    """What the evaluation measures, and why."""

    dataset: AssetId
    """Id of the asset with the rows. It has the inputs and the target of the model as columns."""

    dataset_version: Version = ""
    """Version of the dataset: a table version or a data version. By default the newest at the time of a run."""

    where: Annotated[str, Field(max_length=2000)] = ""
    """Rows of the dataset that are evaluated, as a condition in SQL. By default all rows."""

    thresholds: Annotated[list[Threshold], Field(min_length=1, max_length=50)]
    """Conditions on the results. All must hold."""

    accepts_external: bool = False
    """Whether results that a client sends count, which the platform can't check."""


class Evaluation(Resource[EvaluationSpec, NoStatus]):
    """A suite that measures versions of models on a dataset, with thresholds that gate a promotion."""


EVALUATION = ResourceKind(
    Evaluation,
    plural="evaluations",
    prefix="evl",
    level=Level.PROJECT,
    filter_by=("spec.title", "spec.dataset"),
    # Editors run an evaluation, and can't lower its thresholds.
    writers=Role.ADMIN,
)
