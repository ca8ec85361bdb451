"""A step: one unit of work that reads exact versions, writes its asset, and leaves exact lineage."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from core import clock
from core.errors import HeadwaterError, UnknownTable
from lakehouse.environment import env_digest, git_sha, params_digest
from lakehouse.history import Commit, entries_down
from lakehouse.lineage import Edge, Lineage
from lakehouse.schemas import TableData, require_columns
from lakehouse.snapshot import Snapshot
from lakehouse.tables import Tables

_log = logging.getLogger(__name__)
_FACTS = "headwater"


class Step:
    """Reads versions, writes `asset`, records the edges.

    Each input's version is resolved once, before it is read, and stays the same for the whole step. The facts are part
    of the Delta commit itself (`userMetadata`), so edges that a crash kept from the metadata database are mended by the
    next step on the asset or by `Lineage.repair`.
    """

    def __init__(
        self,
        tables: Tables,
        lineage: Lineage,
        *,
        asset: str,
        run: str,
        step: str,
        code_version: str,
        engine: str,
        principal: str,
        params: Mapping[str, Any] = {},
    ) -> None:
        self.asset = asset
        self.run = run
        self.step = step
        self.code_version = code_version
        self.engine = engine
        self.principal = principal
        self.params = dict(params)
        self._tables = tables
        self._lineage = lineage
        self._snapshots: dict[str, Snapshot] = {}
        self._inputs: dict[tuple[str, str], set[str] | None] = {}
        self._mended = False

    def read(self, table: str, *, version: int | None = None, columns: Sequence[str] | None = None) -> Snapshot:
        """The table at the version this step uses: the one given, else the newest at the first read.

        Args:
            version: another version than the pinned one is one more input of the step.
            columns: what is going to be read, for column lineage; `None`: everything.

        Raises:
            UnknownTable, UnknownVersion, UnknownColumn: say what exists instead.
        """
        snapshot = self._snapshots.get(table)
        if snapshot is None or (version is not None and version != snapshot.version):
            snapshot = self._tables.snapshot(table, version=version)
            self._snapshots.setdefault(table, snapshot)
        if columns is not None:
            require_columns(table, snapshot.schema.names, list(columns))
        self.use(table, snapshot.data_version, () if columns is None else columns)
        return snapshot

    def use(self, asset: str, version: str, columns: Sequence[str] = ()) -> None:
        """Names an input that is not a table read by `read`: a file with its digest, a model, an index.

        Without `columns` all of them count as read.
        """
        known = self._inputs.get((asset, version), set())
        self._inputs[asset, version] = known | set(columns) if columns and known is not None else None

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Assets and data versions used so far."""
        return list(self._inputs)

    def append(self, data: TableData, **options: Any) -> Commit:
        """Adds rows to the asset; options as for `Tables.append`."""
        return self._written(
            lambda facts: self._tables.append(self.asset, data, facts=facts, **options), continues=True
        )

    def overwrite(self, data: TableData, **options: Any) -> Commit:
        """Replaces rows of the asset; options as for `Tables.overwrite`."""
        return self._written(
            lambda facts: self._tables.overwrite(self.asset, data, facts=facts, **options),
            continues=options.get("where") is not None,
        )

    def merge(self, data: TableData, on: Sequence[str], **options: Any) -> Commit:
        """Updates and inserts rows of the asset; options as for `Tables.merge`."""
        return self._written(
            lambda facts: self._tables.merge(self.asset, data, on, facts=facts, **options), continues=True
        )

    def delete(self, where: str) -> Commit:
        """Deletes rows of the asset."""
        return self._written(lambda facts: self._tables.delete(self.asset, where, facts=facts), continues=True)

    @property
    def tables(self) -> Tables:
        """The lakehouse this step works on."""
        return self._tables

    def commit_metadata(self, *, continues: bool) -> str:
        """The facts of this step, for an engine (Spark) that writes by itself to put into its commit as `userMetadata`.

        With them the edges can be mended, should the step die before `wrote`.
        """
        return json.dumps({_FACTS: self._facts(continues=continues)}, separators=(",", ":"), sort_keys=True)

    def wrote(self, commit: Commit, *, continues: bool = False) -> Commit:
        """Records the edges of a version that another engine (Spark) wrote itself.

        Args:
            continues: whether the version builds on the one before it (append, MERGE, UPDATE, DELETE).
        """
        self._mend()
        self._lineage.record(_edges(self._facts(continues=continues), self.asset, commit))
        return commit

    def produced(self, version: str) -> None:
        """Records the edges of an output that is no table of its own (an answer, a file): any version string."""
        facts, at = self._facts(continues=False), clock.now()
        inputs = [(asset, used, tuple(sorted(columns or ()))) for (asset, used), columns in self._inputs.items()]
        self._lineage.record([_edge(facts, self.asset, version, at, *source) for source in inputs or [("", "", ())]])

    def _mend(self) -> None:
        if not self._mended:
            mend(self._tables, self._lineage, self.asset, whole=False)
            self._mended = True

    def _written(self, write: Callable[[Mapping[str, Any]], Commit], *, continues: bool) -> Commit:
        self._mend()
        facts = self._facts(continues=continues)
        commit = write({_FACTS: facts})
        if not commit.changed:
            return commit
        try:
            self._lineage.record(_edges(facts, self.asset, commit))
        except HeadwaterError:
            # The commit stands and carries the facts; failing now would make the caller write twice.
            _log.warning("edges of %s not recorded; they are mended later", commit.data_version, exc_info=True)
        return commit

    def _facts(self, *, continues: bool) -> dict[str, Any]:
        return {
            "run": self.run,
            "step": self.step,
            "inputs": [
                [asset, version, sorted(columns) if columns else []]
                for (asset, version), columns in self._inputs.items()
            ],
            "continues": continues,
            "code_version": self.code_version,
            "git_sha": git_sha(),
            "env_digest": env_digest(),
            "engine": self.engine,
            "params_digest": params_digest(self.params),
            "principal": self.principal,
        }


def mend(tables: Tables, lineage: Lineage, asset: str, *, whole: bool) -> int:
    """Records edges that are in the commits of a table but not on record; returns how many commits it mended.

    Not `whole`: looks back to the newest version on record, at most 50 commits.
    """
    try:
        newest = tables.snapshot(asset)
    except UnknownTable:
        return 0
    lost: list[Edge] = []
    mended = 0
    for entry in entries_down(tables.storage, asset, newest.version, None if whole else 50):
        facts = entry.user_metadata.get(_FACTS)
        if not isinstance(facts, dict):
            continue
        if lineage.provenance(asset, f"{newest.table_id}@{entry.version}"):
            if whole:
                continue
            break
        lost = _edges(facts, asset, entry.commit(asset, newest.table_id, None)) + lost
        mended += 1
    if lost:
        lineage.record(lost)
    return mended


def _edges(facts: Mapping[str, Any], asset: str, commit: Commit) -> list[Edge]:
    inputs = [(str(name), str(version), tuple(columns)) for name, version, columns in facts["inputs"]]
    if facts["continues"] and commit.version > 0:
        inputs.append((asset, f"{commit.table_id}@{commit.version - 1}", ()))
    return [
        _edge(facts, asset, commit.data_version, commit.committed_at, *source) for source in inputs or [("", "", ())]
    ]


def _edge(
    facts: Mapping[str, Any],
    asset: str,
    version: str,
    at: datetime,
    in_asset: str,
    in_version: str,
    in_columns: tuple[str, ...],
) -> Edge:
    return Edge(
        run=facts["run"],
        step=facts["step"],
        out_asset=asset,
        out_version=version,
        in_asset=in_asset,
        in_version=in_version,
        in_columns=in_columns,
        code_version=facts["code_version"],
        git_sha=facts["git_sha"],
        env_digest=facts["env_digest"],
        engine=facts["engine"],
        params_digest=facts["params_digest"],
        principal=facts["principal"],
        at=at,
    )
