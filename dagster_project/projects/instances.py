"""A component instance for every project that has published something.

Which projects these are is read from the state versions this load is pinned to, not from the database: a run must find
the projects it was planned with.
"""

from collections.abc import Callable

import dagster as dg

from assets.published import PublishedAssets
from core.definitions import PROJECTS_KEY, STATE_PREFIX
from dagster_project.internals import DefinitionsLoadContext
from dagster_project.surroundings import finish_published, location_of_published


def published_assets(project: str) -> PublishedAssets:
    """The component of a project."""
    return PublishedAssets(project, finish_published, location_of_published)


def pinned_projects() -> set[str]:
    """Projects that have a state version in this load."""
    keys = DefinitionsLoadContext.get().state_keys_with_prefix(STATE_PREFIX)
    return {key.removeprefix(STATE_PREFIX).removesuffix("]") for key in keys}


class Newcomers(dg.Component):
    """Projects that first published after this code server had started; they get an instance at its next start.

    Dagster finds instances once. Without this a first publication would have to wait for a new server process.
    """

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets of every project that has no instance."""
        components = [published_assets(project) for project in sorted(pinned_projects() - _PROJECTS)]
        for component in components:
            _rebuild_on_change(context, component.defs_state_config.key)
        return dg.Definitions.merge(*(component.build_defs(context) for component in components))


def _rebuild_on_change(context: dg.ComponentLoadContext, key: str) -> None:
    """What Dagster does for components from YAML: a new version of this state rebuilds this component and no other."""
    context.component_tree.mark_component_defs_state_key(context.component_loc, key)


def _instance(project: str) -> Callable[[dg.ComponentLoadContext], PublishedAssets]:
    def load(context: dg.ComponentLoadContext) -> PublishedAssets:
        component = published_assets(project)
        _rebuild_on_change(context, component.defs_state_config.key)
        return component

    return dg.component_instance(load)


@dg.component_instance
def newcomers(context: dg.ComponentLoadContext) -> Newcomers:
    """The component of projects that are new."""
    _rebuild_on_change(context, PROJECTS_KEY)
    return Newcomers()


_PROJECTS = pinned_projects()
globals().update({f"project_{project}": _instance(project) for project in _PROJECTS})
