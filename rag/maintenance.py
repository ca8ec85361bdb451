"""Maintenance of a LanceDB table: its indices, their optimization, and the removal of old states."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rag.layout import Policy, tagged_version, version_tag


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """A vector index. `kind` is LanceDB's type: `IvfFlat` or `IvfSq`."""

    name: str
    kind: str
    partitions: int


def vector_index(indices: list[Any]) -> VectorIndex | None:
    """Finds the vector index of a table. The number of partitions is in its name, because LanceDB doesn't report it."""
    for index in indices:
        if match := re.fullmatch(r"vector_(\d+)", index.name):
            return VectorIndex(index.name, index.index_type, int(match[1]))
    return None


def unindexed_rows(table: Any) -> int:
    """Returns the number of rows that at least one index doesn't contain yet. Searches find them by scanning."""
    return max((index.num_unindexed_rows or 0 for index in table.list_indices()), default=0)


def maintain(table: Any, policy: Policy) -> None:
    """Builds missing indices, and adds new rows to existing indices."""
    from lancedb.index import FTS, BTree, LabelList

    rows = table.count_rows()
    if rows == 0:
        return
    indexed = {index.columns[0] for index in table.list_indices()}
    # ICU finds words in scripts without spaces, such as Thai. In Chinese, Japanese and Korean, word boundaries depend
    # on the context, so text in these scripts is also indexed by single characters and pairs of characters.
    words = FTS(base_tokenizer="icu/split")
    grams = FTS(base_tokenizer="ngram", ngram_min_length=1, ngram_max_length=2, stem=False, remove_stop_words=False)
    for column, config in (("content", words), ("cjk", grams), ("document", BTree()), ("labels", LabelList())):
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
    # The number of partitions is fixed when an index is built. It's rebuilt when twice as many are appropriate.
    if present and present.kind == kind.__name__ and partitions < 2 * present.partitions:
        return
    name = f"vector_{partitions}"
    table.create_index("vector", config=kind(distance_type="cosine", num_partitions=partitions), name=name)
    if present and present.name != name:
        table.drop_index(present.name)


def tagged_versions(table: Any) -> list[int]:
    """Returns the Delta versions whose state is tagged, oldest first."""
    return sorted(version for tag in table.tags.list() if (version := tagged_version(tag)) is not None)


def tag_state(table: Any, version: int) -> None:
    """Tags the current state of the table with a Delta version."""
    tag = version_tag(version)
    if tag in table.tags.list():
        table.tags.update(tag, table.version)
    else:
        table.tags.create(tag, table.version)


def versions_of_state(tags: Mapping[str, Any], version: int) -> list[int]:
    """Returns the Delta versions that share the state of `version`, oldest first. Only the first one changed rows."""
    state = tags[version_tag(version)]["version"]
    versions = (tagged_version(name) for name, tag in tags.items() if tag["version"] == state)
    return sorted(number for number in versions if number is not None)


def drop_tags(table: Any) -> None:
    """Removes all tags."""
    for tag in list(table.tags.list()):
        table.tags.delete(tag)


def remove_old_states(table: Any, keep: int) -> None:
    """Removes all but the newest `keep` tagged states, with the files that only the removed states need."""
    tags = table.tags.list()
    states = sorted({tag["version"] for tag in tags.values()})
    if len(states) <= keep:
        return
    oldest = states[-keep]
    for name, tag in tags.items():
        if tag["version"] < oldest:
            table.tags.delete(name)
    written = next(item["timestamp"] for item in table.list_versions() if item["version"] == oldest)
    # One second before the oldest retained state: LanceDB refuses the whole cleanup if it included a tagged state.
    clean_up(table, datetime.now(written.tzinfo) - written + timedelta(seconds=1))


def clean_up(table: Any, older_than: timedelta, *, abandoned: bool = False) -> None:
    """Removes states older than `older_than` and their files.

    Args:
        table: the table.
        older_than: age of the states to remove. The newest state is never removed.
        abandoned: also remove files that belong to no state, such as files of a writer that died. Only safe while no
            other writer is active.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # warns about readers of old states, which the caller accepts
        table.optimize(cleanup_older_than=older_than, delete_unverified=abandoned)
