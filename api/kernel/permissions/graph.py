"""The part of the asset graph that a caller can see, without references to the other assets.

The id of an asset contains the name of its project, so its scope is known without a query.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from api.kernel import lookup
from api.kernel.permissions.access import Access
from api.kernel.permissions.projects import Projects
from api.kernel.platform import Platform
from api.kernel.securable import ROOT, Securable
from core import audit
from core.connection_sources import SCHEME
from core.errors import HeadwaterError, NotFound
from core.ids import is_asset_id
from core.ports import AssetNode, Automation, GraphView

ASSET = "ai_catalog.asset"
"""The kind of items with an asset id, unless another kind is given."""

READ_ASSET = "ai_catalog.asset.get"
"""The permission to see an asset."""

READ_ROWS = "ai_catalog.asset.preview"
"""The permission to read the rows of an asset."""

EXTERNAL_DATASET = "ai_catalog.external_dataset"
"""The kind of datasets that other systems reported in lineage events."""

CONNECTION = "connections.connection"
"""The kind of connections to systems of others."""

READ_THROUGH = f"{CONNECTION}.query"
"""The permission to read the rows of what a connection leads to."""

_ITEMS = {
    "external": EXTERNAL_DATASET,
    "run": "ai_catalog.run",
    "logged-model": "ai_catalog.logged_model",
    "registered-model": "ai_catalog.registered_model",
    "alias": "ai_catalog.registered_model",
    SCHEME: CONNECTION,
}
"""Kinds of the items that are nodes of the lineage graph besides assets, by the scheme of their nodes."""


class Locator(Protocol):
    """A lookup of the scopes of items that the database does not store."""

    def securable(self, platform: Platform, id: str) -> Securable:
        """Returns the item as a securable, whether or not it exists."""

    def require(self, platform: Platform, access: Access, id: str) -> None:
        """Raises the error for an unknown item unless the caller can see it."""


def asset_securable(platform: Platform, id: str, kind: str = "ai_catalog.asset") -> Securable:
    """Returns an asset as a securable."""
    return platform.part(Projects).inside(id.partition(".")[0], kind, id)


@dataclasses.dataclass(frozen=True, slots=True)
class ItemNode:
    """A node of the lineage graph that is an item of a kind and no asset: `<scheme>:<project>:<id>`.

    An asset id contains no colon, so that neither can be taken for the other.
    """

    scheme: str
    """`external` for a dataset of another system, `run`, `logged-model`, `registered-model`, `alias`, or `connection`
    for a table of another system."""

    project: str
    """Name of the project."""

    id: str
    """Id of the item."""

    part: str = ""
    """Name of an alias of a registered model, or of a table that a connection leads to."""

    @property
    def kind(self) -> str:
        """Full name of the kind of the item."""
        return _ITEMS[self.scheme]

    def __str__(self) -> str:
        return ":".join((self.scheme, self.project, self.id, *([self.part] if self.part else [])))


def item_node(node: str) -> ItemNode | None:
    """Returns the item that is a node of the lineage graph, or None for an asset or another source."""
    scheme, *place = node.split(":", 3)
    return ItemNode(scheme, *place) if scheme in _ITEMS and len(place) in (2, 3) else None


def item_nodes(project: str) -> list[str]:
    """Returns what the nodes of the items of a project start with."""
    return [f"{scheme}:{project}:" for scheme in _ITEMS]


def visible_assets(platform: Platform, access: Access) -> Callable[[str], bool]:
    """Returns a function that returns whether the caller can see a node of the lineage graph.

    Nodes are assets, items such as runs, and other sources such as files. Other sources are always visible.
    """

    def is_visible(id: str) -> bool:
        if is_asset_id(id):
            return access.allows(READ_ASSET, asset_securable(platform, id))
        if (item := item_node(id)) is not None:
            return access.allows(f"{item.kind}.get", platform.part(Projects).inside(item.project, item.kind, item.id))
        return True

    return is_visible


def visible_graph(platform: Platform, access: Access, view: GraphView) -> GraphView:
    """Returns the part of the graph that the caller can see."""
    if access.unrestricted(READ_ASSET):
        return view
    if access.everywhere(READ_ASSET):
        return platform.part(GraphWithoutAudit).of(view)
    visible = {id for id in view.nodes if access.allows(READ_ASSET, asset_securable(platform, id))}
    return GraphView(
        nodes={id: _pruned(node, visible) for id, node in view.nodes.items() if id in visible},
        states={id: state for id, state in view.states.items() if id in visible},
        downstream={
            id: tuple(target for target in targets if target in visible)
            for id, targets in view.downstream.items()
            if id in visible
        },
        schedules=_launching_only(view.schedules, visible),
        sensors=_launching_only(view.sensors, visible),
        locations=view.locations,
        observed_at=view.observed_at,
        stale_since=view.stale_since,
    )


class GraphWithoutAudit:
    """The graph without the tables of the audit log, computed once for each view."""

    def __init__(self, platform: Platform) -> None:
        self._last: tuple[GraphView, GraphView] | None = None

    def of(self, view: GraphView) -> GraphView:
        """Returns the view without the tables of the audit log."""
        last = self._last
        if last is None or last[0] is not view:
            last = self._last = (view, _without_audit(view))
        return last[1]


def _without_audit(view: GraphView) -> GraphView:
    visible = {id for id in view.nodes if not audit.is_audit_table(id)}
    hidden = view.nodes.keys() - visible

    def without_hidden(automations: Mapping[str, Automation]) -> dict[str, Automation]:
        return {
            name: dataclasses.replace(automation, assets=tuple(id for id in automation.assets if id in visible))
            for name, automation in automations.items()
        }

    below = {target for id in hidden for target in view.downstream.get(id, ())}
    return dataclasses.replace(
        view,
        nodes={id: _pruned(node, visible) if id in below else node for id, node in view.nodes.items() if id in visible},
        states={id: state for id, state in view.states.items() if id in visible},
        downstream={id: targets for id, targets in view.downstream.items() if id in visible},
        schedules=without_hidden(view.schedules),
        sensors=without_hidden(view.sensors),
    )


def _pruned(node: AssetNode, visible: set[str]) -> AssetNode:
    def only(ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(id for id in ids if id in visible)

    return dataclasses.replace(
        node, upstream=only(node.upstream), together=only(node.together), compared_with=only(node.compared_with)
    )


def _launching_only(automations: Mapping[str, Automation], visible: set[str]) -> dict[str, Automation]:
    """Returns the schedules or sensors that launch only assets that the caller can see."""
    return {
        name: automation
        for name, automation in automations.items()
        if automation.assets and visible.issuperset(automation.assets)
    }


@dataclasses.dataclass(frozen=True, slots=True)
class AssetLocator:
    """A locator of assets, or of kinds that are assets with a certain property, such as models."""

    kind: str = "ai_catalog.asset"
    noun: str = "asset"
    matches: Callable[[AssetNode], bool] = lambda node: True

    def securable(self, platform: Platform, id: str) -> Securable:
        """Returns the asset as a securable, whether or not it exists."""
        return asset_securable(platform, id, self.kind)

    def require(self, platform: Platform, access: Access, id: str) -> None:
        """Raises `NotFound` unless the caller can see the asset."""
        self.find(visible_graph(platform, access, platform.orchestrator.view()), id)

    def nodes(self, view: GraphView) -> dict[str, AssetNode]:
        """Returns the assets of this kind."""
        return {id: node for id, node in view.nodes.items() if self.matches(node)}

    def find(self, view: GraphView, id: str) -> AssetNode:
        """Returns the asset of this kind with this id.

        Raises:
            NotFound: there is none. The error names similar ids.
        """
        if self.noun == "asset":
            return lookup.asset(view, id)
        return lookup.item(self.nodes(view), self.noun, id)


@dataclasses.dataclass(frozen=True, slots=True)
class AutomationLocator:
    """A locator of schedules or sensors, which belong to the project of the assets that they launch."""

    kind: str
    noun: str
    automations: Callable[[GraphView], Mapping[str, Automation]]

    def securable(self, platform: Platform, id: str) -> Securable:
        """Returns it as a securable, or the platform if it launches assets of several projects or is unknown."""
        automation = self.automations(platform.orchestrator.view()).get(id)
        projects = {asset.partition(".")[0] for asset in automation.assets} if automation else set()
        return platform.part(Projects).inside(projects.pop(), self.kind, id) if len(projects) == 1 else ROOT

    def require(self, platform: Platform, access: Access, id: str) -> None:
        """Raises `NotFound` unless the caller can see it."""
        lookup.item(self.automations(visible_graph(platform, access, platform.orchestrator.view())), self.noun, id)


@dataclasses.dataclass(frozen=True, slots=True)
class AssetIdLocator:
    """A locator of items that have an asset id and may not be assets yet."""

    kind: str
    unknown: Callable[[str], HeadwaterError] = lambda id: NotFound(f"There is no item {id!r}.")

    def securable(self, platform: Platform, id: str) -> Securable:
        """Returns the item as a securable, whether or not it exists."""
        return asset_securable(platform, id, self.kind)

    def require(self, platform: Platform, access: Access, id: str) -> None:
        """Raises the error for an unknown item unless the caller can see it."""
        if not access.allows(f"{self.kind}.get", self.securable(platform, id)):
            raise self.unknown(id)
