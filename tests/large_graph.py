"""A graph of thousands of assets, for the fake orchestrator."""

from __future__ import annotations

from core.ports import AssetNode
from tests.orchestration import node

LAYERS = ("bronze", "silver", "gold")
PROJECTS, PER_LAYER = 10, 167


def large_graph() -> dict[str, AssetNode]:
    """5,010 assets in 30 layers of 10 projects, each with two inputs in the layer before it."""
    nodes = {}
    for project in range(PROJECTS):
        for depth, layer in enumerate(LAYERS):
            for number in range(PER_LAYER):
                inputs = [f"p{project}.{LAYERS[depth - 1]}.t{(number + step) % PER_LAYER}" for step in (0, 1)]
                id = f"p{project}.{layer}.t{number}"
                nodes[id] = node(id, inputs if depth else [], owners=(f"team:{project}",))
    return nodes
