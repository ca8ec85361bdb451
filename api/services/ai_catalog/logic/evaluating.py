"""The work of an evaluation: a result for each row of a dataset, and thresholds as SQL over the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.kinds.evaluation import Evaluation, Threshold
from api.services.ai_catalog.kinds.query import open_processes
from api.services.ai_catalog.kinds.run import RunSource
from core.errors import Conflict, InvalidArgument, InvalidPayload

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.snapshot import Snapshot

MAX_ROWS = 1_000_000
_MAX_COLUMNS = 100
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The results of a run."""

    dataset_version: str
    results: str
    results_version: str
    rows: int
    source: str
    thresholds: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a version of an evaluation dataset."""

    version: str
    """Digest and number of the version."""
    ids: frozenset[str]
    """Ids of the records."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is evaluated."""

    node: tuple[str, str]
    """Node and version of the version of the model in the lineage graph."""
    training: sa.Row[Any] | None
    """The training of the platform, which it can execute."""
    sent: Sequence[dict[str, Any]]
    """Results that the client sent instead."""


def evaluate(
    ctx: Context, evaluation: Evaluation, subject: Subject, project: str, records: Records | None = None
) -> Evaluated:
    """Computes the results, stores them as a version of a table of the project, and checks the thresholds.

    Call it in a worker thread.

    Args:
        ctx: the request.
        evaluation: the evaluation.
        subject: what is evaluated.
        project: name of the project.
        records: the records that the results are about; None if they are about rows of an asset.

    Raises:
        HeadwaterError: the dataset or a condition does not fit the model, or the rows are too many.
    """
    from lakehouse.step import Step

    tables, spec = ctx.platform.part(open_tables), evaluation.spec
    dataset = None if records else versions.snapshot(tables, spec.dataset, spec.dataset_version or None)
    if dataset is None or subject.training is None:
        results = _sent(subject.sent)
    else:
        results = _computed(ctx, spec.where, dataset, subject.training)
    step = Step(
        *(tables, ctx.platform.part(open_lineage)),
        asset=f"{project}.evaluations.{evaluation.id}",
        run=ctx.request_id,
        step="evaluate",
        code_version=f"{evaluation.id}@{evaluation.generation}",
        engine="headwater",
        principal=ctx.principal.name,
    )
    if dataset is not None:
        step.read(spec.dataset, version=dataset.version)
    step.use(*subject.node)
    commit = step.overwrite(results, evolve_schema=True)
    return Evaluated(
        dataset_version=records.version if records else str(dataset and dataset.data_version),
        results=step.asset,
        results_version=commit.data_version,
        rows=results.num_rows,
        source=(RunSource.EXTERNAL if subject.training is None else RunSource.PLATFORM).value,
        thresholds=[
            _reached(ctx, one, step.asset, commit.version, f"/spec/thresholds/{n}")
            for n, one in enumerate(spec.thresholds)
        ],
    )


def require_complete(records: Records, results: Sequence[Mapping[str, Any]]) -> None:
    """Requires one result for each record, so that no client leaves out those that a model fails on.

    Raises:
        InvalidPayload: a record has no result, or several, or a result is of no record of the version.
    """
    named = [row.get("record") for row in results]
    for n, id in enumerate(named):
        if not isinstance(id, str) or id not in records.ids:
            fault = {"pointer": f"/results/{n}/record", "detail": "is the id of no record of the version"}
            raise InvalidPayload("A result is of no record of the evaluation dataset.", errors=[fault])
    if len(named) != len(set(named)) or len(named) != len(records.ids):
        fault = {"pointer": "/results", "detail": f"needs one result for each of {len(records.ids)} records"}
        raise InvalidPayload("There must be one result for each record of the evaluation dataset.", errors=[fault])


def results_of(
    ctx: Context, table: str, version: str, where: str, limit: int
) -> tuple[list[str], list[list[Any]], bool]:
    """Returns columns and rows of results, and whether there are more rows. Call it in a worker thread."""
    from lakehouse.expressions import row_expression
    from lakehouse.python_rows import python_values

    scan = versions.snapshot(ctx.platform.part(open_tables), table, version).scan()
    rows = (scan.filter(row_expression(where)) if where else scan).head(limit + 1).collect().to_arrow()
    values = [list(row) for row in zip(*map(python_values, rows.columns), strict=True)]
    return rows.column_names, values[:limit], len(values) > limit


def _computed(ctx: Context, where: str, dataset: Snapshot, training: sa.Row[Any]) -> pa.Table:
    import polars as pl

    from lakehouse.expressions import row_expression
    from lakehouse.schemas import require_columns
    from serving.loaders import load

    model = load(ctx.platform.part(open_tables), training.asset, versions.number(training.data_version))
    signature = model.record.signature
    require_columns(dataset.table, dataset.schema.names, [*signature.names, signature.target])
    keys = [name for name in signature.entity_key if name in dataset.schema.names]
    scan = dataset.scan().filter(pl.col(signature.target).is_not_null())
    if where:
        scan = scan.filter(row_expression(where))
    columns = dict.fromkeys([*keys, *signature.names, signature.target])
    rows = scan.select(list(columns)).head(MAX_ROWS + 1).collect()
    if rows.height > MAX_ROWS:
        raise Conflict(f"The dataset has more than {MAX_ROWS:,} rows. Select fewer with `where`.")
    inputs = rows.select(pl.col(signature.names).cast(pl.Float32).fill_null(float("nan"))).to_numpy()
    return _results(rows.select(keys), rows[signature.target], model.probabilities(inputs), model.record.threshold)


def _results(keys: pl.DataFrame, target: pl.Series, probabilities: Any, threshold: float) -> pa.Table:
    import polars as pl

    actual = target.cast(pl.Boolean)
    probability = pl.Series("probability", probabilities).cast(pl.Float64)
    predicted = (probability >= threshold).alias("predicted")
    taken = {"actual", "probability", "predicted", "correct"}
    named = keys.rename({name: f"key_{name}" for name in keys.columns if name in taken})
    found = named.with_columns(actual.alias("actual"), probability, predicted, (predicted == actual).alias("correct"))
    return found.to_arrow()


def _sent(results: Sequence[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    names = sorted({name for row in results for name in row})
    if not names or len(names) > _MAX_COLUMNS or any(not name.isidentifier() or len(name) > 100 for name in names):
        fault = {"pointer": "/results", "detail": f"needs 1 to {_MAX_COLUMNS} columns with simple names"}
        raise InvalidPayload("Results have columns with names such as `correct`.", errors=[fault])
    for n, row in enumerate(results):
        if any(not isinstance(value, _SCALARS) for value in row.values()):
            fault = {"pointer": f"/results/{n}", "detail": "has a value that is no text, number, boolean, or null"}
            raise InvalidPayload("Values of results are texts, numbers, booleans, or null.", errors=[fault])
    try:
        table = pa.Table.from_pylist(list(results), schema=None)
        columns = {name: table[name] if name in table.column_names else pa.nulls(len(results)) for name in names}
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        fault = {"pointer": "/results", "detail": str(error)[:200]}
        raise InvalidPayload("A column of the results has values of several types.", errors=[fault]) from None
    return pa.table({name: column for name, column in columns.items() if column.type != pa.null()})


def _reached(ctx: Context, threshold: Threshold, table: str, version: int, pointer: str) -> dict[str, Any]:
    """Returns whether a threshold holds over a version of the results."""
    from lakehouse.query import Query

    statement = (
        f"SELECT CAST(({threshold.condition}\n) AS BOOLEAN) AS passed, count(*) AS counted "  # noqa: S608 - checked below
        f"FROM {table} WHERE ({threshold.where or 'TRUE'}\n)"
    )
    # The conditions are SQL of a user, so the whole statement is checked, and it runs in a separate process.
    checked = Query(ctx.platform.part(open_tables)).check(statement)
    if checked.tables != [table] or checked.lists_tables:
        fault = {"pointer": pointer, "detail": "reads something else than the results"}
        raise InvalidArgument(f"The threshold {threshold.name} can read only the results.", errors=[fault])
    rows, _ = ctx.platform.part(open_processes).run(statement, {table: version}, 2)
    if rows.num_rows != 1:
        fault = {"pointer": pointer, "detail": "is no aggregate"}
        raise InvalidArgument(f"The threshold {threshold.name} must be one condition on all rows.", errors=[fault])
    (row,) = rows.to_pylist()
    return {
        "name": threshold.name,
        "condition": threshold.condition,
        "passed": row["passed"] is True,
        "rows": int(row["counted"]),
    }
