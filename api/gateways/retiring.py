"""Retirement of definitions, which is refused while live assets, automations, or pipelines need their assets."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy.engine import Connection

from api.gateways.published_location import LOCATION
from core import pipelines, publications
from core.errors import StillInUse
from core.ports import GraphView

_MAX_NAMES = 20


def retire(
    connection: Connection, view: GraphView, asset_id: str, *, principal: str, visible: Callable[[str], bool]
) -> publications.PreviousState:
    """Retires the row of a definition, and returns its previous state.

    Args:
        connection: connection of a write transaction.
        view: the current graph.
        asset_id: id of the definition.
        principal: name of the principal that retires it.
        visible: returns whether the principal may know of an asset, an automation, or a pipeline.

    Raises:
        NotFound: the definition does not exist.
        Conflict: the definition is not live.
        StillInUse: a live asset, an automation, or a published pipeline needs one of its assets.
    """
    before = publications.retire(connection, asset_id, principal=principal)
    assets = publications.assets_of(connection, asset_id)
    dependents = (publications.readers(connection, assets) | _dependents(view, assets)) - {*assets, asset_id}
    dependents |= set(pipelines.containing(connection, set(assets)))
    if dependents:
        raise _still_in_use(asset_id, dependents, visible)
    return before


def _dependents(view: GraphView, assets: Collection[str]) -> set[str]:
    """Returns the ids of live assets that read these assets, and the names of schedules and sensors that launch them.

    Sensors of the location of published definitions are not included, because they exist only with its assets.
    """
    retiring = set(assets)
    nodes = {
        node.id
        for node in view.nodes.values()
        if node.id not in retiring
        and not node.retired
        and not retiring.isdisjoint((*node.upstream, *node.compared_with))
    }
    automations = {
        automation.id
        for automation in (*view.schedules.values(), *view.sensors.values())
        if automation.location != LOCATION and not retiring.isdisjoint(automation.assets)
    }
    return nodes | automations


def _still_in_use(asset_id: str, dependents: Collection[str], visible: Callable[[str], bool]) -> StillInUse:
    """Returns the error with the names of visible dependents and the number of hidden ones."""
    names = sorted(name for name in dependents if visible(name))
    listed, hidden = names[:_MAX_NAMES], len(dependents) - len(names)
    text = ", ".join(listed) + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")
    others = f"{hidden} that you may not see" if hidden else ""
    return StillInUse(
        f"{asset_id} is still needed by {' and by '.join(filter(None, (text, others)))}. Retire or change that first.",
        metadata={"used_by": listed, "hidden": hidden},
    )
