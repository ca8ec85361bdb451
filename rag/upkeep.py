"""Keeps a LanceDB table fast and small: its indices, their optimisation, and the removal of old states."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rag.layout import Policy, tag_of, version_of


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """A vector index: `kind` is LanceDB's (`IvfFlat`, `IvfSq`)."""

    name: str
    kind: str
    partitions: int


def vector_index(indices: list[Any]) -> VectorIndex | None:
    """The vector index among a table's indices; its name holds the number of partitions, which nothing else tells."""
    for index in indices:
        if match := re.fullmatch(r"vector_(\d+)", index.name):
            return VectorIndex(index.name, index.index_type, int(match[1]))
    return None


def unindexed_rows(table: Any) -> int:
    """Rows that at least one index does not hold yet. A search finds them all the same, by scanning."""
    return max((index.num_unindexed_rows or 0 for index in table.list_indices()), default=0)


def maintain(table: Any, policy: Policy) -> None:
    """Builds missing indices, and works new rows into those there are."""
    from lancedb.index import FTS, BTree, LabelList

    rows = table.count_rows()
    if rows == 0:
        return
    indexed = {index.columns[0] for index in table.list_indices()}
    for column, config in (("content", FTS()), ("document", BTree()), ("labels", LabelList())):
        if column not in indexed:
            table.create_index(column, config=config)
    _index_vectors(table, rows, policy)
    fragments = int(table.stats()["fragment_stats"]["num_fragments"])
    if unindexed_rows(table) and fragments >= policy.optimize_after:
        table.optimize()


def _index_vectors(table: Any, rows: int, policy: Policy) -> None:
    from lancedb.index import IvfFlat, IvfSq

    if rows < policy.exact_below:
        return
    kind = IvfSq if rows > policy.quantize_above else IvfFlat
    partitions = policy.partitions(rows)
    present = vector_index(table.list_indices())
    # Partitions are cut when the index is built: twice as many fit once the table has grown fourfold.
    if present and present.kind == kind.__name__ and partitions < 2 * present.partitions:
        return
    name = f"vector_{partitions}"
    table.create_index("vector", config=kind(distance_type="cosine", num_partitions=partitions), name=name)
    if present and present.name != name:
        table.drop_index(present.name)


def tagged_versions(table: Any) -> list[int]:
    """Delta versions whose state is tagged, oldest first."""
    return sorted(version for tag in table.tags.list() if (version := version_of(tag)) is not None)


def tag_state(table: Any, version: int) -> None:
    """Tags the state the table stands at as that of a Delta version."""
    tag = tag_of(version)
    if tag in table.tags.list():
        table.tags.update(tag, table.version)
    else:
        table.tags.create(tag, table.version)


def same_state(tags: Mapping[str, Any], version: int) -> list[int]:
    """Delta versions with the very state of `version`, oldest first: all but the first changed files, not content."""
    state = tags[tag_of(version)]["version"]
    alike = (version_of(tag) for tag, found in tags.items() if found["version"] == state)
    return sorted(found for found in alike if found is not None)


def drop_tags(table: Any) -> None:
    """Removes all tags."""
    for tag in list(table.tags.list()):
        table.tags.delete(tag)


def retire(table: Any, keep: int) -> None:
    """Keeps the newest `keep` tagged states and removes what only older ones held."""
    tags = table.tags.list()
    states = sorted({tag["version"] for tag in tags.values()})
    if len(states) <= keep:
        return
    kept = states[-keep]
    for name, tag in tags.items():
        if tag["version"] < kept:
            table.tags.delete(name)
    written = next(item["timestamp"] for item in table.list_versions() if item["version"] == kept)
    # Up to a moment before the oldest kept state: LanceDB refuses the whole clean-up if a tagged one would go.
    clean_up(table, datetime.now(written.tzinfo) - written + timedelta(seconds=1))


def clean_up(table: Any, older_than: timedelta, *, abandoned: bool = False) -> None:
    """Removes states older than `older_than` and their files.

    Args:
        table: the table.
        older_than: age of the states to remove; the newest always stays.
        abandoned: also remove files that belong to no state, such as those of a writer that died. Only while no other
            writer can be at work.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about readers of old states, which the caller has weighed
        table.optimize(cleanup_older_than=older_than, delete_unverified=abandoned)
