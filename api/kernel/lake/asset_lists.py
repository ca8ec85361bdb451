"""The query parameters of all lists of assets."""

from __future__ import annotations

from collections.abc import Iterable

from api.kernel.models import ListQuery
from core.ports import AssetNode


class AssetListQuery(ListQuery):
    """The parameters of a list of assets."""

    show_retired: bool = False
    """Whether to include assets whose definition is retired."""

    def included(self, nodes: Iterable[AssetNode]) -> list[AssetNode]:
        """Returns the assets that the list includes."""
        return [node for node in nodes if self.show_retired or not node.retired]
