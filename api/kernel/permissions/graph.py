"""The asset graph as one caller may see it: what he may not know of is not in it, nor named by what is.

Assets carry the name of their project in their id, so where they stand in the tree of scopes is known without a query.
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
from core.errors import HeadwaterError, NotFound
from core.ids import is_asset_id
from core.ports import AssetNode, Automation, GraphView

SEE = "ai_catalog.asset.get"
"""The right to know of an asset."""


class Locator(Protocol):
    """How things that are found by name stand in the tree of scopes."""

    def place(self, platform: Platform, id: str) -> Securable:
        """Where the thing with this id stands, or would stand."""

    def require(self, platform: Platform, access: Access, id: str) -> None:
        """Raises, as for what does not exist, unless the caller may know of it."""


def asset_place(platform: Platform, id: str, kind: str = "ai_catalog.asset") -> Securable:
    """Where an asset stands."""
    return platform.part(Projects).inside(id.partition(".")[0], kind, id)


def sees(platform: Platform, access: Access) -> Callable[[str], bool]:
    """Whether the caller may know of an asset, or of a source outside that one of his assets was made from."""
    return lambda id: not is_asset_id(id) or access.allows(SEE, asset_place(platform, id))


def visible(platform: Platform, access: Access, view: GraphView) -> GraphView:
    """The part of the graph that the caller may see."""
    if access.unrestricted(SEE):
        return view
    if access.everywhere(SEE):
        return platform.part(WithoutAudit).of(view)
    kept = {id for id in view.nodes if access.allows(SEE, asset_place(platform, id))}
    return GraphView(
        nodes={id: _pruned(node, kept) for id, node in view.nodes.items() if id in kept},
        states={id: state for id, state in view.states.items() if id in kept},
        downstream={
            id: tuple(far for far in fars if far in kept) for id, fars in view.downstream.items() if id in kept
        },
        schedules=_whole(view.schedules, kept),
        sensors=_whole(view.sensors, kept),
        locations=view.locations,
        observed_at=view.observed_at,
        stale_since=view.stale_since,
    )


class WithoutAudit:
    """The graph as those see it who see everything but the audit trail: made once for each view."""

    def __init__(self, platform: Platform) -> None:
        self._last: tuple[GraphView, GraphView] | None = None

    def of(self, view: GraphView) -> GraphView:
        """The view without the tables of the audit trail, which nothing launches."""
        last = self._last
        if last is None or last[0] is not view:
            last = self._last = (view, _without_audit(view))
        return last[1]


def _without_audit(view: GraphView) -> GraphView:
    kept = {id for id in view.nodes if not audit.is_audit(id)}
    hidden = view.nodes.keys() - kept

    def rest(automations: Mapping[str, Automation]) -> dict[str, Automation]:
        return {
            name: dataclasses.replace(one, assets=tuple(id for id in one.assets if id in kept))
            for name, one in automations.items()
        }

    below = {far for id in hidden for far in view.downstream.get(id, ())}
    return dataclasses.replace(
        view,
        nodes={id: _pruned(view.nodes[id], kept) if id in below else view.nodes[id] for id in view.nodes if id in kept},
        states={id: state for id, state in view.states.items() if id in kept},
        downstream={id: fars for id, fars in view.downstream.items() if id in kept},
        schedules=rest(view.schedules),
        sensors=rest(view.sensors),
    )


def _pruned(node: AssetNode, kept: set[str]) -> AssetNode:
    def only(ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(id for id in ids if id in kept)

    return dataclasses.replace(
        node, upstream=only(node.upstream), together=only(node.together), compared_with=only(node.compared_with)
    )


def _whole(automations: Mapping[str, Automation], kept: set[str]) -> dict[str, Automation]:
    """What launches only assets that the caller may see."""
    return {name: one for name, one in automations.items() if one.assets and kept.issuperset(one.assets)}


@dataclasses.dataclass(frozen=True, slots=True)
class AssetLocator:
    """Locates assets, and things that are assets of a certain sort, such as models."""

    kind: str = "ai_catalog.asset"
    noun: str = "asset"
    wanted: Callable[[AssetNode], bool] = lambda node: True

    def place(self, platform: Platform, id: str) -> Securable:
        """Where the asset stands, or would stand."""
        return asset_place(platform, id, self.kind)

    def require(self, platform: Platform, access: Access, id: str) -> None:
        """Raises `NotFound` unless the caller may know of it."""
        self.find(visible(platform, access, platform.orchestrator.view()), id)

    def nodes(self, view: GraphView) -> dict[str, AssetNode]:
        """The assets of this sort."""
        return {id: node for id, node in view.nodes.items() if self.wanted(node)}

    def find(self, view: GraphView, id: str) -> AssetNode:
        """The asset of this sort with this id.

        Raises:
            NotFound: there is none; names the most similar ones.
        """
        if self.noun == "asset":
            return lookup.asset(view, id)
        return lookup.one(self.nodes(view), self.noun, id)


@dataclasses.dataclass(frozen=True, slots=True)
class AutomationLocator:
    """Locates schedules and sensors: they stand in the project of the assets they launch."""

    kind: str
    noun: str
    among: Callable[[GraphView], Mapping[str, Automation]]

    def place(self, platform: Platform, id: str) -> Securable:
        """The project whose assets it launches; the platform if these are of several projects, or unknown."""
        found = self.among(platform.orchestrator.view()).get(id)
        projects = {asset.partition(".")[0] for asset in found.assets} if found else set()
        return platform.part(Projects).inside(projects.pop(), self.kind, id) if len(projects) == 1 else ROOT

    def require(self, platform: Platform, access: Access, id: str) -> None:
        """Raises `NotFound` unless the caller may know of it."""
        lookup.one(self.among(visible(platform, access, platform.orchestrator.view())), self.noun, id)


@dataclasses.dataclass(frozen=True, slots=True)
class NamedByAsset:
    """Locates things that have the id of an asset but need not be one yet."""

    kind: str
    unknown: Callable[[str], HeadwaterError] = lambda id: NotFound(f"There is nothing {id!r}.")

    def place(self, platform: Platform, id: str) -> Securable:
        """Where the asset of this id stands, or would stand."""
        return asset_place(platform, id, self.kind)

    def require(self, platform: Platform, access: Access, id: str) -> None:
        """Raises `NotFound` unless the caller may know of it."""
        if not access.allows(f"{self.kind}.get", self.place(platform, id)):
            raise self.unknown(id)
