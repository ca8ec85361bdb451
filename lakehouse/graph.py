"""Parts of the lineage graph, as traversals return them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["upstream", "downstream"]


@dataclass(frozen=True, slots=True)
class LineageNode:
    """One version of one asset."""

    asset: str
    version: str
    distance: int
    """Number of steps from the start of the traversal."""
    tombstoned: bool
    """Whether the version was deleted. Traversals include it and stop there."""


@dataclass(frozen=True, slots=True)
class LineageLink:
    """A record that `out` was produced from `in` in one step of one run."""

    out_asset: str
    out_version: str
    in_asset: str
    in_version: str
    run: str
    step: str
    implied: bool
    """Whether the link isn't recorded, and `out` (a compaction, or another commit) follows the version before."""


@dataclass(frozen=True, slots=True)
class LineageGraph:
    """The part of the lineage graph around one version."""

    nodes: tuple[LineageNode, ...]
    """Nodes in order of distance, beginning with the start. Empty if the asset isn't recorded."""
    edges: tuple[LineageLink, ...]
    truncated: bool
    """Whether a limit of depth or nodes cut off nodes."""
