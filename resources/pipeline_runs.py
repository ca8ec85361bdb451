"""Runs of pipelines: which versions of tables a run reads, and what Dagster is told about them.

A retry continues a failed run. It reads the versions that the failed run read, or would have read, also if the tables
have newer versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from core.ids import asset_id
from core.pipelines import PIPELINE_TAG

if TYPE_CHECKING:
    from lakehouse.pipeline_inputs import PipelineTables

_DATA_VERSION = "dagster/data_version"
_INPUT_VERSION = "dagster/input_data_version"


def is_of_pipeline(run: dg.DagsterRun | None) -> bool:
    """Returns whether a run belongs to a pipeline."""
    return run is not None and PIPELINE_TAG in run.tags


def begin(context: dg.AssetExecutionContext, tables: PipelineTables) -> None:
    """Records the versions that this run reads, before its first step reads one."""
    layer, steps = context.job_def.asset_layer, context.run.step_keys_to_execute
    in_job = set(layer.executable_asset_keys)
    produced = {key for key in in_job if steps is None or str(layer.get_op_output_handle(key).node_handle) in steps}
    read = {parent for key in in_job for parent in layer.get(key).parent_keys} - in_job
    tables.begin(_ids(produced), _produced_earlier(context, in_job - produced), _ids(read))


def input_tags(context: dg.AssetExecutionContext, asset: dg.AssetKey, tables: PipelineTables) -> dict[str, str]:
    """Returns the tags of a materialization that name the versions of its inputs.

    Without them, Dagster names the newest versions, and a result of a retry would look up to date.
    """
    tags = {}
    for key in context.job_def.asset_layer.get(asset).parent_keys:
        name = asset_id(key.path)
        if (version := tables.version_of(name)) is not None:
            table, _, number = version.rpartition("@")
            tags[f"{_INPUT_VERSION}/{key.to_user_string()}"] = f"{table}@{tables.content_version(name, int(number))}"
    return tags


def _produced_earlier(context: dg.AssetExecutionContext, assets: set[dg.AssetKey]) -> dict[str, str]:
    """Returns the data version by table that the runs of the group produced, the latest of each."""
    group = context.instance.get_run_group(context.run.run_id) if assets else None
    ids = [run.run_id for run in group[1]] if group else []
    records = context.instance.get_run_records(dg.RunsFilter(run_ids=ids)) if ids else []
    versions: dict[str, str] = {}
    for record in sorted(records, key=lambda record: record.create_timestamp):
        run = record.dagster_run
        for entry in context.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            made = entry.asset_materialization
            if made is not None and made.asset_key in assets and (version := (made.tags or {}).get(_DATA_VERSION)):
                versions[asset_id(made.asset_key.path)] = version
    return versions


def _ids(keys: Iterable[dg.AssetKey]) -> set[str]:
    return {asset_id(key.path) for key in keys}
