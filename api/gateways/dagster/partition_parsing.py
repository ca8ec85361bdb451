"""Conversion of the statuses of partitions in GraphQL responses to `core.runs.PartitionState`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.runs import PartitionState

_FIELDS = {
    "materializedPartitions": PartitionState.MATERIALIZED,
    "failedPartitions": PartitionState.FAILED,
    "materializingPartitions": PartitionState.RUNNING,
}
_OF_RANGE = {
    "MATERIALIZED": PartitionState.MATERIALIZED,
    "FAILED": PartitionState.FAILED,
    "MATERIALIZING": PartitionState.RUNNING,
}
_BETWEEN = "|"
"""Separates the keys of the dimensions, which are in the order of their names, in the key of a partition."""


class _Dimension:
    """The keys of a dimension in their order. An asset with one dimension has the keys of its partitions here."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self.positions = {key: position for position, key in enumerate(keys)}

    def between(self, first: str, last: str) -> Sequence[str]:
        """Returns the keys from the first one to the last one."""
        if first not in self.positions or last not in self.positions:
            return ()
        return self.keys[self.positions[first] : self.positions[last] + 1]


def states(node: Any) -> dict[str, PartitionState]:
    """Returns the state of each partition of an asset by its key, in the order of the keys."""
    found = dict.fromkeys(node.get("partitionKeys", ()), PartitionState.MISSING)
    if found:
        dimensions = {one["name"]: _Dimension(one["partitionKeys"]) for one in node["partitionKeysByDimension"]}
        # A partition that a definition doesn't have any more can still have a state.
        found |= {key: state for key, state in _known(node["assetPartitionStatuses"], dimensions) if key in found}
    return found


def _known(raw: Any, dimensions: Mapping[str, _Dimension]) -> Iterator[tuple[str, PartitionState]]:
    if raw["__typename"] != "MultiPartitionStatuses":
        (dimension,) = dimensions.values()
        yield from _of_dimension(raw, dimension)
        return
    primary = raw["primaryDimensionName"]
    ((secondary, dimension),) = ((name, one) for name, one in dimensions.items() if name != primary)
    for part in raw["ranges"]:
        for first in dimensions[primary].between(part["primaryDimStartKey"], part["primaryDimEndKey"]):
            for second, state in _of_dimension(part["secondaryDim"], dimension):
                of_name = {primary: first, secondary: second}
                yield _BETWEEN.join(of_name[name] for name in sorted(of_name)), state


def _of_dimension(raw: Any, dimension: _Dimension) -> Iterator[tuple[str, PartitionState]]:
    for field, state in _FIELDS.items():
        yield from ((key, state) for key in raw.get(field, ()))
    for part in raw.get("ranges", ()):
        state = _OF_RANGE[part["status"]]
        yield from ((key, state) for key in dimension.between(part["startKey"], part["endKey"]))
