"""Runs Spark statements that write, and finds the Delta version that each wrote, which Spark Connect doesn't report."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.errors import Unavailable, UnknownTable, WriteConflict
from core.settings import load_settings
from lakehouse.commits import parse_commit
from resources.spark.faults import translated

if TYPE_CHECKING:
    from lakehouse.step import Step
    from lakehouse.tables import Commit, Tables


def run_and_record(step: Step, run: Callable[[str], object], metadata: str, *, continues: bool, tagged: bool) -> Commit:
    """Runs a statement that writes the step's asset, and records the version that it wrote with its lineage.

    Args:
        step: unit of work, with the engine that runs the statement.
        run: runs the statement. Its argument is `metadata`.
        metadata: value that identifies the statement in `userMetadata`.
        continues: whether the written version continues the one before.
        tagged: whether the engine writes `userMetadata` for this statement.

    Returns:
        The written version, or the current version with `changed` set to false if the statement changed nothing.

    Raises:
        Unavailable: the connection to Spark was lost, and nothing was committed.
        WriteConflict: several commits match.
    """
    writer = "sail" if step.engine.startswith("sail") else "Apache-Spark"
    with _exclusive(step.asset):
        before = _newest_version(step.tables, step.asset)
        connection_error: Unavailable | None = None
        try:
            with translated(f"writing {step.asset}"):
                run(metadata)
        except Unavailable as error:
            connection_error = error  # the commit may have succeeded nevertheless
        commit = find_commit(step.tables, step.asset, after=before, metadata=metadata, tagged=tagged, writer=writer)
    if commit is None:
        if connection_error:
            raise connection_error
        return step.record_unchanged(unchanged_commit(step.tables, step.asset))
    return step.record_commit(commit, continues=continues)


@contextmanager
def _exclusive(table: str) -> Iterator[None]:
    # Sail doesn't tag the commits of MERGE, UPDATE and DELETE, so concurrent commits couldn't be distinguished.
    folder = load_settings().run_dir
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"spark-{table}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _newest_version(tables: Tables, table: str) -> int:
    """Returns the newest version of a table; -1 if the table doesn't exist."""
    try:
        return tables.snapshot(table).version
    except UnknownTable:
        return -1


def find_commit(tables: Tables, table: str, *, after: int, metadata: str, tagged: bool, writer: str) -> Commit | None:
    """Finds the commit of a statement.

    Args:
        tables: the lakehouse.
        table: id of the table.
        after: newest version before the statement.
        metadata: value that identifies the statement in `userMetadata`.
        tagged: whether the engine writes `userMetadata`; Sail only does for appends and overwrites.
        writer: prefix of the engine's `engineInfo`, which identifies its commits if there is no tag.

    Returns:
        The commit, or `None` if the statement changed nothing.

    Raises:
        WriteConflict: several commits match.
    """
    matches = []
    for version, content in _commits_after(tables, table, after):
        info = _commit_info(content)
        if info.get("userMetadata") == metadata if tagged else str(info.get("engineInfo", "")).startswith(writer):
            matches.append((version, content))
    if not matches:
        return None
    if len(matches) > 1:
        raise WriteConflict(
            f"Several sessions of {writer} wrote versions {', '.join(str(version) for version, _ in matches)} of "
            f"{table} at the same time. The commit of this session can't be identified, so it has no lineage. "
            "No data was lost. Let only one step change this table at a time."
        )
    version, content = matches[0]
    snapshot = tables.snapshot(table, version=version)
    return parse_commit(version, content).commit(table, snapshot.table_id, snapshot.row_count)


def unchanged_commit(tables: Tables, table: str) -> Commit:
    """Returns the current version as the result of a statement that changed nothing."""
    return replace(tables.history(table, limit=1)[0], changed=False)


def _commits_after(tables: Tables, table: str, after: int) -> Iterator[tuple[int, bytes]]:
    version = after + 1
    while (content := tables.storage.commit_bytes(table, version)) is not None:
        yield version, content
        version += 1


def _commit_info(content: bytes) -> Mapping[str, Any]:
    for line in content.splitlines():
        if line.startswith(b'{"commitInfo"'):
            info: Mapping[str, Any] = json.loads(line)["commitInfo"]
            return info
    return {}
