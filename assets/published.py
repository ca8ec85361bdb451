"""The state-backed component of the definitions that users publish over REST, one instance per project.

Its state is a version of the published rows of the project. A run uses the version that it was planned with, so a
change of a definition never affects a run in progress.
"""

import json
from pathlib import Path

import dagster as dg
from dagster.components import DefsStateConfig, DefsStateConfigArgs

from assets.examination import Complete, examine
from assets.rows import Row, definitions_of
from core.db import Database
from core.definitions import published_definitions, state_key
from core.ids import asset_key
from core.settings import load_settings


class PublishedAssets(dg.StateBackedComponent):
    """The published definitions of one project as assets."""

    def __init__(self, project: str, finish: Complete, complete: Complete) -> None:
        """Creates the component of a project.

        Args:
            project: the name of the project, which is the first part of its asset ids.
            finish: adds policies and sensors to the assets.
            complete: adds all parts of the code location to the assets, to examine whether the location loads.
        """
        self.project = project
        self._finish = finish
        self._complete = complete

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
        finally:
            database.close()
        project_rows = [row for row in rows if asset_key(row.asset_id)[0] == self.project]
        state_path.write_text(json.dumps([row.to_json() for row in examine(project_rows, self._complete)]))

    def build_defs_from_state(self, context: dg.ComponentLoadContext, state_path: Path | None) -> dg.Definitions:
        """Builds the assets of a state version."""
        content = json.loads(state_path.read_text()) if state_path else []
        return self._finish(definitions_of([Row(**values) for values in content]))
