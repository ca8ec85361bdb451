"""Retrieval of features for many rows: a saga that joins a spine in parts, and stores all parts as one table version.

The spine and its joined parts are files in the lakehouse until the version is stored. When a process is killed, the
next one continues with the first part that is missing. The rows of the same versions are the same, so a second attempt
to store them finds the version of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.kernel.lake import versions
from api.kernel.models import Request
from api.kernel.platform import open_lineage, open_tables
from api.kernel.sagas.saga import ActivityStep, Output, Saga, StepContext
from api.services.ai_catalog.kinds.artifact import open_blobs
from api.services.ai_catalog.kinds.entity import KeyType
from api.services.ai_catalog.logic import feature_answers
from api.services.ai_catalog.logic.feature_views import BoundView
from core.errors import Unavailable, WriteConflict
from lakehouse.lineage import LINEAGE_EDGE

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = 8
"""Number of parts. A canceled retrieval ends with the part that is joined."""

TIME = "event_timestamp"
"""Column of uploaded rows with the time."""

_READ, _JOIN = "read", [f"join_{number}" for number in range(1, PARTS + 1)]
"""Names of the steps that read the spine and that join a part of it."""


class RetrievedView(Request):
    """A view as it was when the retrieval was requested."""

    id: str
    """Id of the view."""

    name: str
    """Name of the view."""

    asset: str
    """Id of its table."""

    keys: dict[str, str]
    """The column of the table for each key of the entity."""

    types: dict[str, KeyType]
    """The type of each key."""

    timestamp: str
    """Column with the event time."""

    ttl_microseconds: int | None
    """Age up to which a row counts. `None`: no limit."""

    features: list[str]
    """The features. Empty: all columns."""

    version: str
    """Data version of the table."""

    def bound(self) -> BoundView:
        """Returns the view, pinned to its version."""
        ttl = self.ttl_microseconds
        return BoundView(
            id=self.id,
            name=self.name,
            asset=self.asset,
            online_asset=None,
            keys=self.keys,
            types=self.types,
            timestamp=self.timestamp,
            ttl=None if ttl is None else timedelta(microseconds=ttl),
            features=tuple(self.features),
            version=self.version,
        )


class RetrievedTable(Request):
    """A spine from a table."""

    asset: str
    """Id of the table."""

    version: str
    """Data version."""

    timestamp: str
    """Column with the time."""

    keys: dict[str, str]
    """The column for each key of the entities."""


class RetrievedRows(Request):
    """A spine that was sent."""

    entities: list[dict[str, Any]]
    """Keys by name."""

    at: list[datetime]
    """The time of each."""


class Retrieval(Request):
    """Input of the saga."""

    table: str
    """Id of the table to write."""

    views: list[RetrievedView]
    source: RetrievedTable | None
    """The table with the spine, or `None`."""

    rows: RetrievedRows | None
    """The spine itself, or `None`."""

    full_feature_names: bool
    """Whether the names of columns contain the view."""


def retrieved_view(view: BoundView, version: str) -> RetrievedView:
    """Returns a view at a version, for the saga."""
    ttl = view.ttl
    return RetrievedView(
        id=view.id,
        name=view.name,
        asset=view.asset,
        keys=dict(view.keys),
        types=dict(view.types),
        timestamp=view.timestamp,
        ttl_microseconds=None if ttl is None else ttl // timedelta(microseconds=1),
        features=list(view.features),
        version=version,
    )


def _read(step: StepContext[Retrieval]) -> Output:
    """Stores the spine, so that all parts are of the same rows in the same order."""
    retrieval = step.input
    if (source := retrieval.source) is not None:
        rows = versions.snapshot(step.platform.part(open_tables), source.asset, source.version).to_arrow()
    else:
        assert retrieval.rows is not None
        views = [view.bound() for view in retrieval.views]
        rows = feature_answers.spine(views, retrieval.rows.entities, retrieval.rows.at)
    return {"digest": _digest_of(step, rows)}


def _join(step: StepContext[Retrieval]) -> Output:
    """Joins a part of the spine, and stores it."""
    retrieval, spine = step.input, _part(step, _READ)
    begin, end = (spine.num_rows * bound // PARTS for bound in (step.index - 1, step.index))
    source = retrieval.source
    found = feature_answers.joined(
        step.platform,
        [view.bound() for view in retrieval.views],
        spine.slice(begin, end - begin),
        source.timestamp if source else TIME,
        keys=source.keys if source else {},
        full=retrieval.full_feature_names,
    )
    return {"digest": _digest_of(step, found.table)}


def _digest_of(step: StepContext[Retrieval], rows: pa.Table) -> str:
    """Stores rows as the file of the step, and returns its digest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.BufferOutputStream()
    pq.write_table(rows, content)
    writer = open_blobs(step.platform).part_writer(*_place(step), step.index)
    try:
        writer.write(content.getvalue().to_pybytes())
        return writer.finish()
    except BaseException:
        writer.abort()
        raise


def _part(step: StepContext[Retrieval], name: str) -> pa.Table:
    """Returns the rows that a step stored."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number, digest = SAGA.step_names.index(name), step.outputs[name]["digest"]
    return pq.read_table(pa.BufferReader(open_blobs(step.platform).part(*_place(step), number, digest)))


def _store(step: StepContext[Retrieval]) -> Output:
    """Writes all parts as a version of the table, with its lineage, unless an earlier attempt did."""
    retrieval, tables = step.input, step.platform.part(open_tables)
    data_version = _stored(step) or _written(step)
    columns = [f"{view.name}__status" for view in retrieval.views]
    version = tables.snapshot(retrieval.table, version=versions.number(data_version))
    found = version.to_arrow(columns=columns)
    _remove(step)
    return {
        "table": retrieval.table,
        "data_version": data_version,
        "rows": found.num_rows,
        "versions": {view.name: view.version for view in retrieval.views},
        "source_version": retrieval.source.version if retrieval.source else None,
        "statuses": {
            view.name: {str(one["values"]): one["counts"] for one in found[column].value_counts().to_pylist()}
            for view, column in zip(retrieval.views, columns, strict=True)
        },
    }


def _stored(step: StepContext[Retrieval]) -> str | None:
    """Returns the version that this retrieval stored. The parts may be gone."""
    edge = LINEAGE_EDGE.c
    query = sa.select(edge.out_version).where(edge.run == step.operation, edge.out_asset == step.input.table)
    with step.platform.database.read() as connection:
        version: str | None = connection.execute(query.limit(1)).scalar()
    return version


def _written(step: StepContext[Retrieval]) -> str:
    """Writes all parts as a version, and returns it."""
    import pyarrow as pa

    from lakehouse.step import Step

    retrieval, tables = step.input, step.platform.part(open_tables)
    # One chunk, because the order of the rows in the table is that of the chunks' writers otherwise.
    rows = pa.concat_tables(_part(step, name) for name in _JOIN).combine_chunks()
    writing = Step(
        *(tables, step.platform.part(open_lineage)),
        asset=retrieval.table,
        run=step.operation,
        step="retrieve",
        code_version="",
        engine="headwater",
        principal=step.principal,
        params=retrieval.model_dump(mode="json"),
    )
    if retrieval.source is not None:
        writing.read(retrieval.source.asset, version=versions.number(retrieval.source.version))
    for view in retrieval.views:
        read = [*view.keys.values(), view.timestamp, *view.features] if view.features else None
        writing.read(view.asset, version=versions.number(view.version), columns=read)
    try:
        return writing.overwrite(rows, evolve_schema=True).data_version
    except WriteConflict as error:
        raise Unavailable(error.detail) from error


def _remove(step: StepContext[Retrieval]) -> None:
    """Removes the files of the parts."""
    open_blobs(step.platform).remove_parts(*_place(step))


def _place(step: StepContext[Retrieval]) -> tuple[str, str]:
    """Returns the project and the name under which the parts are stored."""
    return str(step.project_id), step.operation


async def _computed(do: Callable[[StepContext[Retrieval]], Any], step: StepContext[Retrieval]) -> Any:
    return await step.platform.workers.compute.run(do, step)


SAGA = Saga(
    "ai_catalog.feature_service.retrieve",
    input=Retrieval,
    steps=[
        ActivityStep(_READ, partial(_computed, _read), undo=partial(_computed, _remove)),
        *(ActivityStep(name, partial(_computed, _join), undo=partial(_computed, _remove)) for name in _JOIN),
        ActivityStep("store", partial(_computed, _store)),
    ],
)
