"""What a run in a branch makes, with which definitions, and what its caller must be able to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from api.kernel import lookup
from api.services.ai_catalog.logic.readable_tables import rows_denied
from api.services.ai_catalog.logic.selection import with_step_siblings
from core import definition_revisions
from core.definition_revisions import RecordedDefinition
from core.errors import Conflict, InvalidPayload
from core.ports import GraphView
from lakehouse import branch_definitions


@dataclass(frozen=True, slots=True)
class Definitions:
    """The definitions of a branch, and those that are published, of the assets to make."""

    branch: tuple[RecordedDefinition, ...]
    """Definitions of the branch that produce one of the assets."""
    published: Mapping[str, int]
    """Published revision by definition that produces one of the assets."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The assets that a run in a branch makes."""

    assets: tuple[str, ...]
    definitions: Definitions

    @property
    def added(self) -> dict[str, int]:
        """The published revisions that the branch doesn't have yet, by definition."""
        known = {one.asset_id for one in self.definitions.branch}
        return {id: number for id, number in self.definitions.published.items() if id not in known}

    def inputs(self, graph: GraphView, asset: str, *, compared: bool = True) -> tuple[str, ...]:
        """Returns the ids of the assets that an asset is made from in the branch, or `compared` with by its checks."""
        recorded = branch_definitions.producing(self.definitions.branch, [asset])
        if recorded and recorded[0].reads is not None:
            return recorded[0].reads
        node = graph.nodes[asset]
        return (*node.upstream, *(node.compared_with if compared else ()))


def definitions_of(connection: Connection, branch: str, assets: Sequence[str]) -> Definitions:
    """Returns the definitions of these assets in a branch, and those that are published."""
    recorded = branch_definitions.definitions_of(connection, branch)
    return Definitions(
        tuple(branch_definitions.producing(recorded, assets)), definition_revisions.producers(connection, assets)
    )


def select(
    view: GraphView,
    requested: Sequence[str],
    find: Callable[[Sequence[str]], Definitions],
    readable: Callable[[str], bool],
) -> Selection:
    """Returns what a run makes: the requested assets, and those that the same steps produce.

    A published definition runs under the rights of its publisher. Another one, such as an earlier revision, runs under
    the rights of the caller.

    Args:
        view: the assets that the caller can see.
        requested: ids of the assets.
        find: returns the definitions of assets in the branch.
        readable: returns whether the caller can read the rows of an asset.

    Raises:
        UnknownAsset: the caller can't see one of the assets.
        InvalidPayload: nothing produces one of them, or they are in several code locations.
        PermissionDenied: the caller can't read an input of a definition that isn't published.
    """
    for asset in requested:
        lookup.asset(view, asset)
    found = find(requested)
    made = [name for one in found.branch for name in one.code_versions]
    others = [asset for asset in requested if asset not in made]
    assets = tuple(dict.fromkeys((*with_step_siblings(view, others), *made)))
    found = find(assets)
    for one in found.branch:
        if found.published.get(one.asset_id) == one.revision and all(
            lookup.asset(view, name).executable for name in one.code_versions
        ):
            continue
        if one.reads is None:
            raise Conflict(
                f"The inputs of revision {one.revision} of {one.asset_id} aren't recorded, so only its publisher may "
                "run it. Publish the definition again."
            )
        if not all(readable(name) for name in one.reads):
            raise rows_denied()
    for asset in others:
        if not lookup.asset(view, asset).executable:
            raise InvalidPayload(f"{asset} can't be materialized: it is observed only, retired, or broken.")
    if len({lookup.asset(view, asset).location for asset in assets}) > 1:
        raise InvalidPayload("The assets are in several code locations. Run those of each location separately.")
    return Selection(assets, found)
