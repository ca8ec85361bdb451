"""Queries of shared tables: the files of a version, and the changes between versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.kernel.models import Timestamp
from api.protocols.delta_sharing.capabilities import PARQUET, Capabilities
from api.protocols.delta_sharing.continuations import MAX_ID, Continuations
from api.protocols.delta_sharing.hints import Hints
from api.protocols.delta_sharing.lines import Line, Lines, vector_path
from api.protocols.delta_sharing.masking import MaskedShape, masked_files
from api.protocols.delta_sharing.opening import Shape, SharedTable, required_features
from core.errors import InvalidArgument

if TYPE_CHECKING:
    from lakehouse.log_actions import FileAction
    from lakehouse.snapshot import Snapshot

_MAX_VERSION = 2**53
_MAX_COMMITS = 1000
_RESTRICTED = "restricted"
"""Name in tokens of the digest of a restricted version."""

Number = Annotated[int, Field(ge=0, le=_MAX_VERSION)]


class TableQuery(BaseModel):
    """The body of a query. Fields of later versions of the protocol are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    predicate_hints: Annotated[list[Annotated[str, Field(max_length=10_000)]], Field(max_length=100)] | None = Field(
        None, alias="predicateHints"
    )
    json_predicate_hints: Annotated[str, Field(max_length=100_000)] | None = Field(None, alias="jsonPredicateHints")
    limit_hint: Number | None = Field(None, alias="limitHint")
    version: Number | None = None
    timestamp: Timestamp | None = None
    starting_version: Number | None = Field(None, alias="startingVersion")
    ending_version: Number | None = Field(None, alias="endingVersion")
    max_files: Annotated[int, Field(ge=1, le=_MAX_VERSION)] | None = Field(None, alias="maxFiles")
    page_token: Annotated[str, Field(max_length=200_000)] | None = Field(None, alias="pageToken")


class PageQuery(BaseModel):
    """The body of a request for the result of a query that was sent before."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    max_files: Annotated[int, Field(ge=1, le=_MAX_VERSION)] | None = Field(None, alias="maxFiles")
    page_token: Annotated[str, Field(max_length=200_000)] | None = Field(None, alias="pageToken")


class ChangesQuery(BaseModel):
    """The parameters of a query of changes."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    starting_version: Number | None = Field(None, alias="startingVersion")
    ending_version: Number | None = Field(None, alias="endingVersion")
    starting_timestamp: Timestamp | None = Field(None, alias="startingTimestamp")
    ending_timestamp: Timestamp | None = Field(None, alias="endingTimestamp")
    include_historical_metadata: bool = Field(default=False, alias="includeHistoricalMetadata")


@dataclass
class Answer:
    """A response."""

    version: int
    """Version of the table for the header."""
    format: str
    lines: list[Line] = field(default_factory=list)
    files: int = 0
    size_bytes: int = 0

    def encoded(self) -> bytes:
        """Returns the lines as NDJSON."""
        return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in self.lines)


LinksOf = Callable[[bool, str], Callable[[int, str], str]]
"""Returns the links to files: of a version, of changes, or of a restricted version by its digest."""


@dataclass(frozen=True)
class Reading:
    """One query of a table."""

    table: SharedTable
    capabilities: Capabilities
    links: LinksOf
    expires_at: int
    continuations: Continuations

    def metadata(self, version: int | None, timestamp: datetime | None) -> Answer:
        """Returns protocol and schema of a version."""
        return self._begun(self.table.shape(self.table.snapshot(version=version, timestamp=timestamp)))[0]

    def query(self, query: TableQuery) -> Answer:
        """Returns the files of a version, or the files that versions added and removed."""
        if query.page_token:
            return self.page(query.page_token, query.max_files)
        if query.starting_version is not None:
            return self._changes(query.starting_version, query.ending_version, feed=False)
        snapshot = self.table.snapshot(version=query.version, timestamp=query.timestamp)
        if self.capabilities.asynchronous and len(id := self._token(query, snapshot.version)) <= MAX_ID:
            return Answer(snapshot.version, PARQUET, [{"queryStatus": {"queryId": id}}])
        return self._page(query, snapshot, query.max_files, "", query.limit_hint, "")

    def page(self, token: str, max_files: int | None) -> Answer:
        """Returns a page of a query that was sent before: the next one, or the first one of an asynchronous query."""
        found = self.continuations.opened(token)
        query = TableQuery.model_validate_json(json.dumps(found.query))
        snapshot, before = self.table.continued(found.version), found.query.get(_RESTRICTED, "")
        return self._page(query, snapshot, max_files, found.after, found.left, before)

    def _page(
        self, query: TableQuery, snapshot: Snapshot, max_files: int | None, after: str, left: int | None, before: str
    ) -> Answer:
        """Returns files of a version in the order of their paths, so that pages follow each other.

        Hints of the client don't choose among the files of a restricted version, whose partitions are hidden.
        """
        masked = self.table.masking.version(snapshot)
        digest = masked.digest if masked else ""
        if after and digest != before:
            raise InvalidArgument("What the provider shares of the table has changed. Send the query again.")
        answer, lines = self._begun(MaskedShape(snapshot) if masked else snapshot, digest=digest)
        if masked:
            modified_at = max((file.modified_at for file in self.table.tables.added_files(snapshot)), default=0)
            files: Iterable[FileAction] = masked_files(masked, modified_at)
        else:
            hints = Hints(snapshot, query.predicate_hints or (), query.json_predicate_hints)
            files = content_files(self.table, snapshot, hints.matches)
        last = after
        for file in sorted(files, key=lambda file: file.path):
            if file.path <= after:
                continue
            if left is not None and left <= 0:
                break
            if answer.files == max_files:
                answer.lines.append(lines.end(self._token(query, snapshot.version, last, left, digest)))
                return answer
            left, last = None if left is None else left - _row_count(file), file.path
            self._add(answer, lines.file(file, snapshot.version, file.modified_at), file)
        if max_files is not None:
            answer.lines.append(lines.end())
            return answer
        return self._ended(answer, lines)

    def _token(
        self, query: TableQuery, version: int, after: str = "", left: int | None = None, digest: str = ""
    ) -> str:
        """Returns the token of a query at a version, or of its next page."""
        hints = query.model_dump(include={"predicate_hints", "json_predicate_hints"}, exclude_none=True, by_alias=True)
        hints |= {_RESTRICTED: digest} if digest else {}
        return self.continuations.token(hints, version, after, left if after else query.limit_hint)

    def changes(self, query: ChangesQuery) -> Answer:
        """Returns the files of the change data feed."""
        first, last = query.starting_version, query.ending_version
        if first is None and query.starting_timestamp is not None:
            first = self.table.version_since(query.starting_timestamp)
        if last is None and query.ending_timestamp is not None:
            last = self.table.snapshot(timestamp=query.ending_timestamp).version
        if first is None:
            raise InvalidArgument("Name the startingVersion or the startingTimestamp of the changes.")
        return self._changes(first, last, feed=True, every_schema=query.include_historical_metadata)

    def _changes(self, first: int, last: int | None, *, feed: bool, every_schema: bool = False) -> Answer:
        newest = self.table.snapshot()
        last = newest.version if last is None else last
        self.table.require_history(first, last)
        self.table.masking.require_unrestricted()
        if last - first >= _MAX_COMMITS:
            raise InvalidArgument(f"Ask for the changes of at most {_MAX_COMMITS} versions at once.")
        before, after = (self.table.snapshot(version=version) for version in (first, last))
        if feed:
            self.table.require_feed(before, after)
        # The schema at the end holds from the start, because a client has one schema for all changes.
        answer, lines = self._begun(after, since=first, feed=feed)
        for commit in self.table.tables.changed_files(self.table.shared.asset, range(first, last + 1), feed=feed):
            at = self.table.snapshot(version=commit.version)
            if commit.metadata is not None and every_schema and commit.version > first:
                answer.lines.append(lines.metadata(at, self.table.shared))
            for file in change_files(self.table, at, commit.files):
                line = lines.file(file, commit.version, commit.committed_at, change=True)
                self._add(answer, line, file)
        return self._ended(answer, lines)

    def _begun(
        self, snapshot: Shape, *, since: int | None = None, feed: bool = False, digest: str = ""
    ) -> tuple[Answer, Lines]:
        """Returns the answer with protocol and schema, for a version or for the changes since one."""
        format = self.capabilities.format_for(required_features(snapshot))
        lines = Lines(format, self.links(since is not None, digest), self.expires_at)
        head = [lines.protocol(snapshot, feed=feed), lines.metadata(snapshot, self.table.shared, since)]
        return Answer(snapshot.version if since is None else since, format, head), lines

    def _ended(self, answer: Answer, lines: Lines) -> Answer:
        if self.capabilities.end_stream:
            answer.lines.append(lines.end())
        return answer

    def _add(self, answer: Answer, line: Line, file: FileAction) -> None:
        answer.lines.append(line)
        answer.files += 1
        answer.size_bytes += file.size


def content_files(
    table: SharedTable, snapshot: Snapshot, hinted: Callable[[Sequence[Any]], list[bool]] | None = None
) -> Iterator[FileAction]:
    """Yields the files of a version that the share, and the hints of the client, keep."""
    files = table.tables.added_files(snapshot)
    values = [file.partition_values for file in files]
    shared = table.partition_filter(snapshot)(values)
    wanted = hinted(values) if hinted else shared
    for file, allowed, asked in zip(files, shared, wanted, strict=True):
        if allowed and asked:
            yield file


def change_files(table: SharedTable, snapshot: Snapshot, files: Sequence[FileAction]) -> Iterator[FileAction]:
    """Yields the files of a commit that the share keeps.

    Raises:
        InvalidArgument: the commit deleted rows without writing them to the change data feed.
    """
    shared = table.partition_filter(snapshot)([file.partition_values for file in files])
    for file, allowed in zip(files, shared, strict=True):
        if allowed and file.deletion_vector:
            raise InvalidArgument(
                f"Version {snapshot.version} deletes rows by a deletion vector and not in the change data feed, so its "
                "changes can't be shared. Query the versions instead.",
                metadata={"features": ["deletionVectors"]},
            )
        if allowed:
            yield file


def paths_of(files: Iterator[FileAction]) -> frozenset[str]:
    """Returns the paths of files and of their deletion vectors."""
    listed = list(files)
    return frozenset(file.path for file in listed) | {vector_path(file.deletion_vector) for file in listed} - {""}


def _row_count(file: FileAction) -> int:
    """Returns the number of rows that a file has at least. 0 if the log doesn't contain it."""
    try:
        count = int(json.loads(file.stats or "{}").get("numRecords", 0))
    except (ValueError, TypeError, AttributeError):
        return 0
    return count - int((file.deletion_vector or {}).get("cardinality") or 0)
