"""The state-backed component behind definitions that users publish over REST, one instance per project.

Its state is a version of the project's published rows. A run works with the version it was planned with, so editing a
definition never changes a run in progress.
"""

import json
from pathlib import Path

import dagster as dg
from dagster.components import DefsStateConfig, DefsStateConfigArgs

from assets.examination import Complete, examine
from assets.rows import Row, definitions_of
from core.db import Database
from core.definitions import published, state_key
from core.ids import asset_key
from core.settings import load_settings


class PublishedAssets(dg.StateBackedComponent):
    """The published definitions of one project as assets."""

    def __init__(self, project: str, finish: Complete, complete: Complete) -> None:
        """Makes the component of a project.

        Args:
            project: the first part of its assets' ids.
            finish: adds policies and sensors to the assets.
            complete: adds that and everything else of the code location, to examine whether it would load.
        """
        self.project = project
        self._finish = finish
        self._complete = complete

    @property
    def defs_state_config(self) -> DefsStateConfig:
        """Every publication is an immutable version in the instance's state storage."""
        arguments = DefsStateConfigArgs(management_type="VERSIONED_STATE_STORAGE", refresh_if_dev=False)
        return DefsStateConfig.from_args(arguments, default_key=state_key(self.project))

    def write_state_to_path(self, state_path: Path) -> None:
        """Reads the live rows, which happens nowhere else, and marks those that cannot be assets."""
        database = Database(load_settings().effective_database_url)
        try:
            with database.read() as connection:
                rows = [Row.of(definition) for definition in published(connection)]
        finally:
            database.close()
        own = [row for row in rows if asset_key(row.asset_id)[0] == self.project]
        state_path.write_text(json.dumps([row.to_json() for row in examine(own, self._complete)]))

    def build_defs_from_state(self, context: dg.ComponentLoadContext, state_path: Path | None) -> dg.Definitions:
        """Builds the assets of a state version, and of nothing else."""
        content = json.loads(state_path.read_text()) if state_path else []
        return self._finish(definitions_of([Row(**values) for values in content]))
