"""Datasets that runs read, linked to the exact versions of assets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.run import RUN, require_external
from api.services.ai_catalog.logic.model_lineage import ModelNodes, Recorder
from api.services.ai_catalog.logic.run_inputs import pinned
from api.services.ai_catalog.logic.run_rows import Key, adding_new
from api.services.ai_catalog.run_tables import RUN_INPUT

_ADD = adding_new(RUN_INPUT)


class DatasetInput(Request):
    """A dataset that a run read."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    """Name of the dataset. The id of an asset links the run to it."""

    digest: Annotated[str, Field(min_length=1, max_length=64)]
    """Digest of its content, as the client computed it."""

    version: Annotated[str, Field(max_length=128)] = ""
    """Version of the asset that was read: a table version or a data version."""

    source_type: Annotated[str, Field(max_length=64)] = "headwater"
    """Type of the source."""

    source: Annotated[str, Field(max_length=65_535)] = ""
    """The source, in the form of its type."""

    schema_: Annotated[str, Field(max_length=1_048_576, alias="schema")] = ""
    """Schema, as JSON."""

    profile: Annotated[str, Field(max_length=16_777_215)] = ""
    """Summary of the content, as JSON."""

    tags: dict[Key, Annotated[str, Field(max_length=500)]] = {}
    """Tags, such as `mlflow.data.context`."""


class RunInputs(Request):
    """Datasets that a run read."""

    inputs: Annotated[list[DatasetInput], Field(min_length=1, max_length=1000)]
    """The datasets."""


class LoggedInputs(Model):
    """The datasets that were added."""

    inputs: int
    """Number of datasets that were not logged before."""


@RUN.action("log-inputs", request=RunInputs, result=LoggedInputs, past="inputs_logged")
async def log_run_inputs(ctx: Context, run: str, request: RunInputs) -> LoggedInputs:
    """Logs the datasets that a run read. A dataset of the platform is linked to the exact version that was read."""
    rows = await ctx.compute(_resolved, ctx, request.inputs)
    return await ctx.write(lambda unit: _add_inputs(unit, RUN.row(unit, run, "log-inputs"), rows))


def _resolved(ctx: Context, inputs: Sequence[DatasetInput]) -> list[dict[str, Any]]:
    rows = []
    for n, one in enumerate(inputs):
        asset, version = pinned(ctx, one.name, one.source, one.version, f"/inputs/{n}/version")
        values = one.model_dump(exclude={"version", "schema_"})
        rows.append(values | {"schema": one.schema_, "asset": asset, "version": version})
    return rows


def _add_inputs(unit: Unit, run: Row, rows: Sequence[dict[str, Any]]) -> LoggedInputs:
    require_external(run)
    added = _ADD[unit.connection.dialect.name].run(unit.connection, [row | {"run_id": run.id} for row in rows])
    pins = [(row["asset"], row["version"]) for row in rows if row["asset"] and row["version"]]
    node = ModelNodes(unit.connection, run.project_id).run(run.id)
    Recorder(unit.connection, unit.principal.name, at=unit.now).record(run.id, "read", node, dict.fromkeys(pins))
    unit.call.note(inputs=[row["asset"] or row["name"][:200] for row in rows[:100]])
    return LoggedInputs(inputs=added)
