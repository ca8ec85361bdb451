"""The state-backed component of the definitions that users publish over REST, one instance per project.

Its state is a version of the published rows of the project. A run uses the version that it was planned with, so a
change of a definition never affects a run in progress.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components import DefsStateConfig, DefsStateConfigArgs

from assets.examination import Complete, examine
from assets.rows import Row, definitions_of
from core.db import Database
from core.definitions import published_definitions, state_key
from core.ids import asset_key
from core.pipelines import PublishedPipeline, published_pipelines
from core.settings import load_settings

WithPipelines = Callable[[Sequence[PublishedPipeline], dg.Definitions], dg.Definitions]
"""Returns the jobs and schedules of pipelines over these assets."""


class PublishedAssets(dg.StateBackedComponent):
    """The published definitions of one project as assets, and its published pipelines as jobs."""

    def __init__(self, project: str, finish: Complete, complete: Complete, pipelines: WithPipelines) -> None:
        """Creates the component of a project.

        Args:
            project: the name of the project, which is the first part of its asset ids.
            finish: adds policies and sensors to the assets.
            complete: adds all parts of the code location to the assets, to examine whether the location loads.
            pipelines: builds the jobs and schedules of pipelines.
        """
        self.project = project
        self._finish = finish
        self._complete = complete
        self._pipelines = pipelines

    @property
    def defs_state_config(self) -> DefsStateConfig:
        """Configuration that stores every publication as an immutable version in the state storage of the instance."""
        arguments = DefsStateConfigArgs(management_type="VERSIONED_STATE_STORAGE", refresh_if_dev=False)
        return DefsStateConfig.from_args(arguments, default_key=state_key(self.project))

    def write_state_to_path(self, state_path: Path) -> None:
        """Reads the live rows from the metadata database, and marks the rows that cannot be assets."""
        database = Database(load_settings().effective_database_url)
        try:
            with database.read() as connection:
                rows = [Row.of(definition) for definition in published_definitions(connection)]
                pipelines = published_pipelines(connection, self.project)
        finally:
            database.close()
        project_rows = [row for row in rows if asset_key(row.asset_id)[0] == self.project]
        examined = examine(project_rows, self._complete)
        content = {
            "rows": [row.to_json() for row in examined],
            "pipelines": [dataclasses.asdict(item) for item in self._examined(pipelines, definitions_of(examined))],
        }
        state_path.write_text(json.dumps(content))

    def build_defs_from_state(self, context: dg.ComponentLoadContext, state_path: Path | None) -> dg.Definitions:
        """Builds the assets and pipelines of a state version."""
        content = json.loads(state_path.read_text()) if state_path else []
        # An earlier release stored the rows only.
        stored: dict[str, Any] = content if isinstance(content, dict) else {"rows": content, "pipelines": []}
        assets = definitions_of([Row(**values) for values in stored["rows"]])
        pipelines = [PublishedPipeline(**values) for values in stored["pipelines"]]
        return dg.Definitions.merge(self._finish(assets), self._pipelines(pipelines, assets))

    def _examined(self, pipelines: Sequence[PublishedPipeline], assets: dg.Definitions) -> list[PublishedPipeline]:
        """Returns the pipelines, with the error of each one that keeps the location from loading."""
        if not pipelines or self._fault(pipelines, assets) is None:
            return list(pipelines)
        faults = [self._fault([pipeline], assets) for pipeline in pipelines]
        return [
            _broken(pipeline, fault) if fault else pipeline for pipeline, fault in zip(pipelines, faults, strict=True)
        ]

    def _fault(self, pipelines: Sequence[PublishedPipeline], assets: dg.Definitions) -> Exception | None:
        try:
            jobs = self._pipelines(pipelines, assets)
            dg.Definitions.validate_loadable(dg.Definitions.merge(self._complete(assets), jobs))
        except Exception as error:  # noqa: BLE001 - Dagster does not document which exceptions it raises
            return error
        return None


def _broken(pipeline: PublishedPipeline, fault: Exception) -> PublishedPipeline:
    """Returns a pipeline that only shows its fault, which may be in its schedule."""
    return dataclasses.replace(pipeline, error=str(fault).strip().split("\n")[0], cron="")
