"""A component instance for every project that has published something.

Which projects these are is read from the state versions this load is pinned to, not from the database: a run must find
the projects it was planned with.
"""

from collections.abc import Callable

import dagster as dg

from assets.published import PublishedAssets
from core.definitions import STATE_PREFIX
from dagster_project.internals import DefinitionsLoadContext
from dagster_project.surroundings import finish_published, location_of_published


def published_assets(project: str) -> PublishedAssets:
    """The component of a project."""
    return PublishedAssets(project, finish_published, location_of_published)


def _instance(project: str) -> Callable[[dg.ComponentLoadContext], PublishedAssets]:
    def load(context: dg.ComponentLoadContext) -> PublishedAssets:
        component = published_assets(project)
        # Dagster does this for components from YAML: a new state version then rebuilds this project and no other.
        context.component_tree.mark_component_defs_state_key(context.component_loc, component.defs_state_config.key)
        return component

    return dg.component_instance(load)


for _key in DefinitionsLoadContext.get().state_keys_with_prefix(STATE_PREFIX):
    _project = _key.removeprefix(STATE_PREFIX).removesuffix("]")
    globals()[_project] = _instance(_project)
