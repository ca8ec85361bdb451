"""A component instance for every project with published definitions.

The projects are read from the state versions to which this load is pinned, not from the database, because a run needs
the projects with which it was planned.
"""

from collections.abc import Callable

import dagster as dg

from assets.published import PublishedAssets
from core.definitions import PROJECTS_KEY, STATE_PREFIX
from dagster_project.internals import DefinitionsLoadContext
from dagster_project.shared_definitions import complete_published, with_policies_and_sensors
from jobs.pipelines import pipelines_of


def published_assets(project: str) -> PublishedAssets:
    """Returns the component of a project."""
    return PublishedAssets(project, with_policies_and_sensors, complete_published, pipelines_of)


def pinned_projects() -> set[str]:
    """Returns the projects that have a state version in this load."""
    keys = DefinitionsLoadContext.get().state_keys_with_prefix(STATE_PREFIX)
    return {key.removeprefix(STATE_PREFIX).removesuffix("]") for key in keys}


class NewProjects(dg.Component):
    """Projects whose first publication is after the start of this code server.

    Dagster finds component instances only at the start. This component makes a first publication visible without a new
    server process. At the next start, the project gets an instance.
    """

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the assets of every project without an instance."""
        components = [published_assets(project) for project in sorted(pinned_projects() - _PROJECTS)]
        for component in components:
            _rebuild_on_change(context, component.defs_state_config.key)
        return dg.Definitions.merge(*(component.build_defs(context) for component in components))


def _rebuild_on_change(context: dg.ComponentLoadContext, key: str) -> None:
    # A new version of this state rebuilds only this component. Dagster does the same for components from YAML.
    context.component_tree.mark_component_defs_state_key(context.component_loc, key)


def _instance(project: str) -> Callable[[dg.ComponentLoadContext], PublishedAssets]:
    def load(context: dg.ComponentLoadContext) -> PublishedAssets:
        component = published_assets(project)
        _rebuild_on_change(context, component.defs_state_config.key)
        return component

    return dg.component_instance(load)


@dg.component_instance
def new_projects(context: dg.ComponentLoadContext) -> NewProjects:
    """Returns the component of new projects."""
    _rebuild_on_change(context, PROJECTS_KEY)
    return NewProjects()


_PROJECTS = pinned_projects()
globals().update({f"project_{project}": _instance(project) for project in _PROJECTS})
