"""A component instance for every project that has published something.

Which projects these are is read from the state versions this load is pinned to, not from the database: a run must find
the projects it was planned with.
"""

from collections.abc import Callable

import dagster as dg

from assets.published import PublishedAssets
from core.definitions import STATE_PREFIX
from dagster_project.internals import DefinitionsLoadContext
from dagster_project.surroundings import location_of_published


def _instance(project: str) -> Callable[[dg.ComponentLoadContext], PublishedAssets]:
    def load(context: dg.ComponentLoadContext) -> PublishedAssets:
        return PublishedAssets(project, location_of_published)

    return dg.component_instance(load)


for _key in DefinitionsLoadContext.get().state_keys_with_prefix(STATE_PREFIX):
    _project = _key.removeprefix(STATE_PREFIX).removesuffix("]")
    globals()[_project] = _instance(_project)
