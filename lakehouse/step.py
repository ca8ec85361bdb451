"""A step: one unit of work that reads exact versions, writes its asset, and records exact lineage."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core import clock
from core.errors import HeadwaterError, UnknownTable
from lakehouse import column_sources
from lakehouse.column_sources import Sources
from lakehouse.commits import Commit, last_row_change
from lakehouse.content import digest, overwrite_digest
from lakehouse.evolution import plan
from lakehouse.lineage import Lineage
from lakehouse.provenance import (
    PROVENANCE_KEY,
    commit_edges,
    last_write,
    new_provenance,
    output_edges,
    written_partition,
)
from lakehouse.repair import repair_recent
from lakehouse.schemas import TableData, to_arrow
from lakehouse.snapshot import Snapshot
from lakehouse.step_inputs import StepInputs
from lakehouse.tables import Tables
from lakehouse.writes import is_empty

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)
_CONTENT_KEY = "headwater_content"
"""Key in `userMetadata` of the digest of the rows and the partitioning, in commits that replace all rows."""


class Step:
    """A unit of work that reads versions, writes `asset`, and records the lineage edges.

    Each input's version is resolved once, before it's read, and doesn't change during the step. The provenance is part
    of the Delta commit (`userMetadata`). If a crash prevents the recording of edges, the next step on the asset or
    `repair_lineage` records them.
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
        partition: str = "",
        check_input: Callable[[Snapshot], None] | None = None,
    ) -> None:
        """Creates the step.

        Args:
            tables: the lakehouse.
            lineage: the lineage record.
            asset: id of the asset that the step writes.
            run: id of the run.
            step: name of the step within the run.
            code_version: version of the code that determines the result.
            engine: engine that computes.
            principal: principal that requested the run.
            params: further parameters that determine the result.
            partition: key of the partition of the asset that the step writes; empty if the asset has none.
            check_input: called with each version of another table before the step reads it. It raises an error if
                the step must not read the version.
        """
        self.asset = asset
        self.run = run
        self.step = step
        self.code_version = code_version
        self.engine = engine
        self.principal = principal
        self.params = dict(params)
        self.partition = partition
        self._tables = tables
        self._lineage = lineage
        self._inputs = StepInputs(tables, asset, check_input)
        self._repaired = False
        self._column_sources: Sources | None = None

    @property
    def tables(self) -> Tables:
        """The lakehouse that this step uses."""
        return self._tables

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Assets and data versions that the step has used so far."""
        return list(self._inputs.columns)

    def read(self, table: str, *, version: int | None = None, columns: Sequence[str] | None = None) -> Snapshot:
        """Returns the table at the version that this step uses. See `StepInputs.read`."""
        return self._inputs.read(table, version=version, columns=columns)

    def use(self, asset: str, version: str, columns: Sequence[str] = ()) -> None:
        """Adds an input that isn't a table read by `read`: a file with its digest, a model, or an index.

        Without `columns`, all columns count as read.
        """
        self._inputs.use(asset, version, columns)

    def declare_columns(self, sources: Sources | None) -> None:
        """Declares the input columns that each written column is computed from; `None` if they are unknown.

        Call it before the write, so that the commit contains them.
        """
        self._column_sources = sources

    def append(self, data: TableData, **options: Any) -> Commit:
        """Adds rows to the asset. The options are those of `Tables.append`.

        If there are no rows, the version that wrote the current rows stays, as for `overwrite`.
        """
        prepared = to_arrow(data)
        commit = self._write(
            lambda metadata: self._tables.append(self.asset, prepared, user_metadata=metadata, **options),
            continues=True,
        )
        return self.record_unchanged(commit) if is_empty(prepared) and not commit.changed else commit

    def append_if_new(self, rows: pa.Table, *, ignored_columns: Sequence[str], once: str) -> Commit:
        """Appends rows, unless the newest append added the same rows. The version then stays.

        Args:
            rows: the rows.
            ignored_columns: columns that may differ.
            once: as for `Tables.append`.
        """
        content = digest(rows.drop_columns(list(ignored_columns)))
        if content is not None and (current := self._version_with(content)):
            return self._record_reuse(current)
        return self._write(
            lambda metadata: self._tables.append(self.asset, rows, user_metadata=metadata, once=once),
            continues=True,
            content_digest=content,
        )

    def overwrite(self, data: TableData, **options: Any) -> Commit:
        """Replaces rows of the asset. The options are those of `Tables.overwrite`.

        If the table, or the part of it that matches `where`, has exactly these rows, the step commits nothing. The
        version that wrote them stays and gets the edges of this step in addition to its own, so that nothing downstream
        becomes stale. Of a partition, that is the newest version that wrote this partition.
        """
        prepared, entire = to_arrow(data), options.get("where") is None
        content = overwrite_digest(prepared, options.get("partition_by", ())) if entire else None
        if content is not None and options.get("if_version") is None and (current := self._version_with(content)):
            return self._record_reuse(current)
        commit = self._write(
            lambda metadata: self._tables.overwrite(self.asset, prepared, user_metadata=metadata, **options),
            continues=not entire,
            content_digest=content,
        )
        if commit.changed:
            return commit
        return self._record_unchanged_partition(commit) if self.partition else self.record_unchanged(commit)

    def merge(self, data: TableData, on: Sequence[str], **options: Any) -> Commit:
        """Updates and inserts rows of the asset. The options are those of `Tables.merge`.

        If no row changes, the version that wrote the rows stays, as for `overwrite`.
        """
        commit = self._write(
            lambda metadata: self._tables.merge(self.asset, data, on, user_metadata=metadata, **options), continues=True
        )
        return commit if commit.changed else self.record_unchanged(commit)

    def evolve(self, declared: pa.Schema) -> pa.Schema:
        """Adds the columns to the asset's table that rows of this schema need, as a separate version.

        Returns the schema of the table; the declared schema if the table doesn't exist yet.

        Raises:
            SchemaMismatch: a column can't be changed. The message says why and what to do.
        """
        if not self._tables.exists(self.asset):
            return declared
        # The provenance is only stored with a change, so the plan is made first.
        current = self._tables.snapshot(self.asset)
        evolution = plan(self.asset, current.schema, declared, empty=current.row_count == 0)
        evolution.require()
        if not evolution.needed:
            return current.schema

        def change(metadata: Mapping[str, Any]) -> Commit:
            commit = self._tables.evolve(self.asset, declared, user_metadata=metadata)
            # If another step made the change in the meantime, its version isn't a version of this step.
            return commit or replace(self._tables.history(self.asset, limit=1)[0], changed=False)

        self._write(change, continues=True)
        return self._tables.snapshot(self.asset).schema

    def delete(self, where: str) -> Commit:
        """Deletes the rows of the asset that match a SQL condition."""
        return self._write(
            lambda metadata: self._tables.delete(self.asset, where, user_metadata=metadata), continues=True
        )

    def commit_metadata(self, *, continues: bool, content_digest: str | None = None) -> str:
        """Returns the `userMetadata` for a commit that another engine (Spark) makes.

        If the step ends before `record_commit`, the edges can be repaired from it.

        Args:
            continues: as for `record_commit`.
            content_digest: digest of all rows of the version, for `reuse_version`.
        """
        metadata = self._user_metadata(continues=continues, content_digest=content_digest)
        return json.dumps(metadata, separators=(",", ":"), sort_keys=True)

    def reuse_version(self, content_digest: str) -> Commit | None:
        """Returns the version that wrote the current rows if its digest is this one, and records the step's inputs."""
        current = self._version_with(content_digest)
        return None if current is None else self._record_reuse(current)

    def record_commit(self, commit: Commit, *, continues: bool = False) -> Commit:
        """Records the edges of a version that another engine (Spark) wrote.

        Args:
            commit: the version.
            continues: whether the version is based on the one before it (append, MERGE, UPDATE, DELETE).
        """
        self._repair()
        self._record(self._provenance(continues=continues), commit)
        return commit

    def record_output(self, version: str) -> None:
        """Records the edges of an output that isn't a table, such as an answer or a file.

        Args:
            version: any text that identifies the output.
        """
        self._lineage.record(output_edges(self._provenance(continues=False), self.asset, version, clock.now()))

    def record_unchanged(self, newest: Commit) -> Commit:
        """Records the inputs of a step that changed no row. Returns the version that wrote the current rows.

        Args:
            newest: the newest version of the asset.
        """
        entry = last_row_change(self._tables.storage, self.asset, newest.version)
        current = entry.commit(self.asset, newest.table_id, newest.row_count) if entry else newest
        return self._record_reuse(replace(current, changed=False))

    def _record_unchanged_partition(self, newest: Commit) -> Commit:
        """Records the inputs of a step that changed no row of its partition. Returns the version that wrote the rows.

        A version that wrote the whole table keeps only its own edges: this step can't make it again.
        """
        entry = last_write(self._tables.storage, self.asset, newest.version, self.partition)
        if entry is None:
            return replace(newest, changed=False)
        current = replace(entry.commit(self.asset, newest.table_id, None), changed=False)
        return self._record_reuse(current, continues=True) if written_partition(entry) else current

    def _record_reuse(self, current: Commit, *, continues: bool = False) -> Commit:
        """Records that the inputs of this step also produce an existing version."""
        self._repair()
        self._record(self._provenance(continues=continues), replace(current, committed_at=clock.now()))
        return current

    def _version_with(self, content_digest: str) -> Commit | None:
        """Returns the version that wrote the current rows of the asset; `None` if they have another digest."""
        try:
            newest = self._tables.snapshot(self.asset)
        except UnknownTable:
            return None
        entry = last_row_change(self._tables.storage, self.asset, newest.version)
        if entry is None or entry.user_metadata.get(_CONTENT_KEY) != content_digest:
            return None
        return replace(entry.commit(self.asset, newest.table_id, newest.row_count), changed=False)

    def _write(
        self, write: Callable[[Mapping[str, Any]], Commit], *, continues: bool, content_digest: str | None = None
    ) -> Commit:
        self._repair()
        metadata = self._user_metadata(continues=continues, content_digest=content_digest)
        commit = write(metadata)
        if not commit.changed:
            return commit
        try:
            self._record(metadata[PROVENANCE_KEY], commit)
        except HeadwaterError:
            # The commit succeeded and contains the provenance. An error would make the caller write the rows again.
            _log.warning("edges of %s not recorded; they are repaired later", commit.data_version, exc_info=True)
        return commit

    def _record(self, provenance: Mapping[str, Any], commit: Commit) -> None:
        columns = column_sources.of_provenance(provenance, self.asset, commit.data_version)
        self._lineage.record(commit_edges(provenance, self.asset, commit), columns)

    def _repair(self) -> None:
        if not self._repaired:
            repair_recent(self._tables, self._lineage, self.asset)
            self._repaired = True

    def _user_metadata(self, *, continues: bool, content_digest: str | None) -> dict[str, Any]:
        content = {_CONTENT_KEY: content_digest} if content_digest else {}
        return {PROVENANCE_KEY: self._provenance(continues=continues), **content}

    def _provenance(self, *, continues: bool) -> dict[str, Any]:
        return new_provenance(
            run=self.run,
            step=self.step,
            inputs=self._inputs.columns,
            continues=continues,
            code_version=self.code_version,
            engine=self.engine,
            params=self.params,
            principal=self.principal,
            partition=self.partition,
            column_sources=self._column_sources,
        )
