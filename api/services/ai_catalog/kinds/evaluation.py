"""Evaluations: suites that measure versions of models on a dataset, with thresholds that a version must reach."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.lake.versions import Version
from api.kernel.models import Request
from api.kernel.references import RefersTo
from api.kernel.roles import Role
from core.errors import InvalidPayload

EvaluationDatasetReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.evaluation_dataset",))]
"""An evaluation dataset."""

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

    dataset: AssetId = ""
    """Id of the asset with the rows. It has the inputs and the target of the model as columns."""

    dataset_version: Version = ""
    """Version of the dataset: a table version or a data version. By default the newest at the time of a run."""

    evaluation_dataset_id: EvaluationDatasetReference | None = None
    """Instead of `dataset`: an evaluation dataset of the project. Clients send the results, one for each record."""

    evaluation_dataset_version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Version of the evaluation dataset. By default the newest at the time of a run."""

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
    references=(Reference("evaluation_dataset_id", "ai_catalog.evaluation_dataset"),),
    filter_by=("spec.title", "spec.dataset", "spec.evaluation_dataset_id"),
    # Editors run an evaluation, and can't lower its thresholds.
    writers=Role.ADMIN,
)


@EVALUATION.validate
def require_one_dataset(unit: Unit, evaluation: Evaluation, before: Evaluation | None) -> None:
    """Refuses an evaluation without data, with two sorts of data, and one that could never have results."""
    spec = evaluation.spec
    if bool(spec.dataset) == bool(spec.evaluation_dataset_id):
        fault = {"pointer": "/spec/dataset", "detail": "needs either dataset or evaluation_dataset_id"}
        raise InvalidPayload("An evaluation needs a dataset or an evaluation dataset.", errors=[fault])
    if spec.evaluation_dataset_id and not spec.accepts_external:
        fault = {"pointer": "/spec/accepts_external", "detail": "must be true with an evaluation dataset"}
        raise InvalidPayload("Clients send the results for an evaluation dataset.", errors=[fault])
    if spec.evaluation_dataset_id and (spec.where or spec.dataset_version):
        fault = {"pointer": "/spec/evaluation_dataset_id", "detail": "can't have where or dataset_version"}
        raise InvalidPayload("All records of an evaluation dataset are evaluated.", errors=[fault])
    if spec.evaluation_dataset_version and not spec.evaluation_dataset_id:
        fault = {"pointer": "/spec/evaluation_dataset_version", "detail": "needs evaluation_dataset_id"}
        raise InvalidPayload("The version is of no evaluation dataset.", errors=[fault])
