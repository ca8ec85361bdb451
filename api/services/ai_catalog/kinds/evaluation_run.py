"""Runs of evaluations: the results of one version of a model, row by row, and whether they reach the thresholds."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.services.ai_catalog.evaluation_dataset_tables import EVALUATION_RECORD as RECORD
from api.services.ai_catalog.evaluation_tables import EVALUATION_RUN as TABLE
from api.services.ai_catalog.kinds.evaluation import EVALUATION, Evaluation
from api.services.ai_catalog.kinds.evaluation_dataset import EVALUATION_DATASET, RecordsQuery, version_of
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION
from api.services.ai_catalog.kinds.run import RunSource
from api.services.ai_catalog.kinds.run_search import ComparedValue, compared
from api.services.ai_catalog.logic.evaluating import Evaluated, Records, Subject, evaluate, require_complete, results_of
from api.services.ai_catalog.logic.evaluation_records import at
from api.services.ai_catalog.logic.model_gates import evaluation_failure
from api.services.ai_catalog.logic.model_lineage import ModelNodes
from api.services.ai_catalog.logic.readable_tables import require_readable
from api.services.ai_catalog.model_tables import TRAINING
from core.errors import Conflict, InvalidArgument
from core.ids import is_asset_id, new_id

if TYPE_CHECKING:
    from collections.abc import Sequence


class ThresholdResult(Model):
    """Whether a threshold was reached."""

    name: str
    """Name of the threshold."""

    condition: str
    """The condition, as it was evaluated."""

    passed: bool
    """Whether it holds."""

    rows: int
    """Number of rows that counted."""


class EvaluationRun(Model):
    """A run of an evaluation on a version of a model."""

    id: str
    """Id of the run."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    evaluation_id: str
    """Id of the evaluation."""

    generation: int
    """Generation of the evaluation at the time of the run."""

    model_version_id: str
    """Id of the version of the model."""

    dataset: str | None
    """Id of the dataset: an asset or an evaluation dataset. Null if the caller can't see it."""

    dataset_version: str | None
    """Data version of the dataset that was read, or digest and version of the evaluation dataset. Null if the caller
    can't see it."""

    results: str
    """Id of the table with the results, one row for each row of the dataset. Query it with SQL."""

    results_version: str
    """Data version of the results."""

    rows: int
    """Number of rows."""

    source: RunSource
    """PLATFORM if the platform computed the results, EXTERNAL if a client sent them."""

    thresholds: list[ThresholdResult]
    """Result of each threshold."""

    passed: bool
    """Whether all thresholds were reached."""

    created_at: datetime
    """Time of the run."""

    created_by: str
    """Name of the principal that ran it."""


class RunEvaluation(Request):
    """A version of a model to evaluate."""

    model_version: Annotated[str, Field(max_length=64)]
    """Id of the version."""

    results: Annotated[list[dict[str, Any]], Field(max_length=100_000)] = []
    """Results of a model that the platform can't execute, one object for each row, if the evaluation accepts them. For
    an evaluation dataset, one for each record, with its id as `record`."""


class CompareEvaluationRuns(Request):
    """Runs to compare."""

    runs: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=2, max_length=20)]
    """Ids of runs of one evaluation."""


class EvaluationComparison(Model):
    """Runs side by side. Lists have an entry for each run, in the order of the request."""

    runs: list[EvaluationRun]
    """The runs."""

    thresholds: list[ComparedValue]
    """Result of each threshold: `passed` or `failed`."""

    same_data: bool
    """Whether all runs read the same version of the dataset. Otherwise their results can't be compared."""


class GateQuery(Query):
    """A version of a model."""

    model_version: Annotated[str, Field(max_length=64)] = ""
    """Id of the version. Required."""


class Gate(Model):
    """Whether a version of a model passes an evaluation."""

    passed: bool
    """Whether the newest run of the present generation passed."""

    reason: str
    """Why it does not pass. Empty if it does."""

    run: EvaluationRun | None
    """The newest run. Null if there is none."""


def _runs(unit: Unit, rows: Sequence[Row]) -> list[EvaluationRun]:
    def item(row: Row) -> EvaluationRun:
        values = {name: row._mapping[name] for name in EvaluationRun.model_fields}
        if is_asset_id(row.dataset) and not unit.allows(READ_ASSET, asset_securable(unit.platform, row.dataset)):
            values |= {"dataset": None, "dataset_version": None}
        return EvaluationRun.model_validate(values)

    return [item(row) for row in rows]


EVALUATION_RUN = TableKind(
    EvaluationRun,
    TABLE,
    plural="evaluation-runs",
    prefix="evr",
    filter_by=("evaluation_id", "model_version_id", "passed", "source", "created_by", "created_at"),
    items=_runs,
)


@EVALUATION.action("run", request=RunEvaluation, result=EvaluationRun, past="executed")
async def run_evaluation(ctx: Context, evaluation: str, request: RunEvaluation) -> EvaluationRun:
    """Evaluates a version of a model: computes a result for each row of the dataset, and checks the thresholds.

    The platform executes models that it trained itself. For others, send the results, if the evaluation accepts them.
    The results become a table of the project, so that the caller must be able to read the rows of the dataset, or the
    records of the evaluation dataset.
    """

    def read(unit: Unit) -> tuple[Evaluation, Row, Subject, str, Records | None]:
        found = unit.get(EVALUATION, evaluation, permission=EVALUATION.permission("run"))
        version = MODEL_VERSION.row(unit, request.model_version)
        if version.project_id != found.project_id:
            raise InvalidArgument("The version must be in the project of the evaluation.")
        select = sa.select(TRAINING).where(TRAINING.c.model_version_id == version.id)
        training = None if request.results else unit.connection.execute(select).first()
        nodes = ModelNodes(unit.connection, found.project_id)
        node = nodes.version(version.registered_model_id, version.version)
        records = None
        if found.spec.evaluation_dataset_id:
            records = _records(unit, found)
            require_complete(records, request.results)
        return found, version, Subject(node, training, request.results), nodes.project, records

    found, version, subject, project, records = await ctx.read(read)
    if records is None:
        await ctx.compute(require_readable, ctx, found.spec.dataset)
    if request.results and not found.spec.accepts_external:
        raise Conflict("The evaluation accepts only results that the platform computes.")
    if not request.results and subject.training is None:
        raise Conflict("The platform can't execute this model. Send results, if the evaluation accepts them.")
    evaluated = await ctx.compute(evaluate, ctx, found, subject, project, records)
    return await ctx.write(lambda unit: _store(unit, evaluation, found, version.id, evaluated))


def _records(unit: Unit, found: Evaluation) -> Records:
    """Returns the records that an evaluation is about now. The caller must be able to read them."""
    id = found.spec.evaluation_dataset_id or ""
    dataset = unit.get(EVALUATION_DATASET, id, permission=EVALUATION_DATASET.permission("records"))
    version, digest = version_of(unit, dataset, RecordsQuery(version=found.spec.evaluation_dataset_version))
    ids = unit.connection.execute(sa.select(RECORD.c.id).where(*at(dataset.id, version))).scalars()
    return Records(f"{digest}@{version}", frozenset(ids))


def _store(unit: Unit, id: str, found: Evaluation, version: str, evaluated: Evaluated) -> EvaluationRun:
    row = unit.row(EVALUATION, id, permission=EVALUATION.permission("run"))
    unit.call.subject, unit.call.securable = row.id, row.securable
    MODEL_VERSION.row(unit, version)
    unit.call.subject, unit.call.securable = row.id, row.securable
    passed = all(one["passed"] for one in evaluated.thresholds)
    made = new_id(EVALUATION_RUN.prefix)
    values = {
        "id": made,
        "organization_id": row.organization_id,
        "project_id": row.project_id,
        "evaluation_id": row.id,
        "generation": found.generation,
        "model_version_id": version,
        "dataset": found.spec.evaluation_dataset_id or found.spec.dataset,
        "dataset_version": evaluated.dataset_version,
        "results": evaluated.results,
        "results_version": evaluated.results_version,
        "rows": evaluated.rows,
        "source": evaluated.source,
        "thresholds": evaluated.thresholds,
        "passed": passed,
        "created_at": unit.now,
        "created_by": unit.principal.name,
    }
    unit.connection.execute(TABLE.insert().values(values))
    unit.call.note(run=made, model_version=version, passed=passed)
    return EVALUATION_RUN.item(unit, unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == made)).one())


@EVALUATION.view("gate", query=GateQuery, result=Gate)
def get_evaluation_gate(unit: Unit, evaluation: Evaluation, query: GateQuery) -> Gate:
    """Returns whether a version of a model passes an evaluation, by the newest run of it."""
    if not query.model_version:
        raise InvalidArgument("Name the version: add ?model_version= to the address.")
    version = MODEL_VERSION.row(unit, query.model_version)
    select = sa.select(TABLE).where(TABLE.c.model_version_id == version.id, TABLE.c.evaluation_id == evaluation.id)
    row = unit.connection.execute(select.order_by(TABLE.c.id.desc()).limit(1)).first()
    reason = evaluation_failure(row, evaluation.generation)
    return Gate(passed=not reason, reason=reason, run=EVALUATION_RUN.item(unit, row) if row else None)


@EVALUATION_RUN.collection_action("compare", request=CompareEvaluationRuns, result=EvaluationComparison, reads=True)
async def compare_evaluation_runs(ctx: Context, request: CompareEvaluationRuns) -> EvaluationComparison:
    """Compares runs of one evaluation: which thresholds each of them reached, and whether they read the same data."""

    def read(unit: Unit) -> EvaluationComparison:
        rows = [EVALUATION_RUN.row(unit, id) for id in request.runs]
        if len({row.evaluation_id for row in rows}) > 1:
            raise InvalidArgument("The runs are of several evaluations. Compare runs of one.")
        results = [{one["name"]: "passed" if one["passed"] else "failed" for one in row.thresholds} for row in rows]
        return EvaluationComparison(
            runs=_runs(unit, rows),
            thresholds=compared(results),
            same_data=len({row.dataset_version for row in rows}) == 1,
        )

    return await ctx.read(read)


class ReportQuery(Query):
    """Which results to return."""

    where: Annotated[str, Field(max_length=2000)] = ""
    """Rows to return, as a condition in SQL, such as `NOT correct`. By default all."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of rows."""


class EvaluationReport(Model):
    """A run with results, row by row."""

    run: EvaluationRun
    """The run."""

    columns: list[str]
    """Names of the columns."""

    rows: list[list[Any]]
    """Values in the order of the columns. NaN and infinity are null."""

    truncated: bool
    """Whether there are more rows."""


@EVALUATION_RUN.part("report", query=ReportQuery, result=EvaluationReport)
async def get_evaluation_run_report(ctx: Context, evaluation_run: str, query: ReportQuery) -> EvaluationReport:
    """Returns a run with results, row by row. The caller must be able to read the rows of the dataset."""

    def read(unit: Unit) -> tuple[EvaluationRun, Row]:
        row = EVALUATION_RUN.row(unit, evaluation_run, "report")
        if not is_asset_id(row.dataset):
            unit.get(EVALUATION_DATASET, row.dataset, permission=EVALUATION_DATASET.permission("records"))
        return EVALUATION_RUN.item(unit, row), row

    run, row = await ctx.read(read)
    if is_asset_id(row.dataset):
        await ctx.compute(require_readable, ctx, row.dataset)
    place = (row.results, row.results_version)
    columns, rows, truncated = await ctx.compute(results_of, ctx, *place, query.where, query.limit)
    return EvaluationReport(run=run, columns=columns, rows=rows, truncated=truncated)
