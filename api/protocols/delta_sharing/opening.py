"""Opening of shared tables at the versions that recipients may read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from api.kernel.platform import Platform, open_tables
from api.protocols.delta_sharing.masking import MaskedShape, Masking
from api.services.ai_catalog.logic.sharing import Served
from core.errors import HeadwaterError, InvalidArgument, NotFound, UnknownTable, UnknownVersion

if TYPE_CHECKING:
    from lakehouse.snapshot import Snapshot

_FEED = "delta.enableChangeDataFeed"


@contextmanager
def translated(shared: Any) -> Iterator[None]:
    """Replaces the id of the asset in errors by the name that the recipient knows."""
    try:
        yield
    except UnknownTable:
        raise NotFound("There is no such table.") from None
    except HeadwaterError as error:
        detail = error.detail.replace(shared.asset, f"{shared.schema_name}.{shared.table_name}")
        raise type(error)(detail) from None


class Shape(Protocol):
    """What clients need to know of a version to read its files. A snapshot has it."""

    version: int
    partition_columns: list[str]
    properties: dict[str, str]

    @property
    def column_mapping(self) -> str:
        """Mode of column mapping, or empty."""

    @property
    def has_deletions(self) -> bool:
        """Whether rows of the files are deleted by deletion vectors."""

    @property
    def protocol(self) -> dict[str, Any]:
        """Protocol action."""

    @property
    def schema_json(self) -> str:
        """Schema as JSON."""


class SharedTable:
    """A table as a recipient sees it."""

    def __init__(self, platform: Platform, served: Served) -> None:
        self.tables = platform.part(open_tables)
        self.shared = served.row
        self.masking = Masking(platform, served)

    def shape(self, snapshot: Snapshot) -> Shape:
        """Returns what clients know of a version."""
        return snapshot if self.masking.restriction(snapshot) is None else MaskedShape(snapshot)

    def snapshot(self, *, version: int | None = None, timestamp: datetime | None = None) -> Snapshot:
        """Returns the shared version, or a version of the shared history.

        Raises:
            NotFound: the table was dropped, or dropped and created again.
            InvalidArgument: the version is not shared.
            UnknownVersion: there is no such version.
        """
        shared = self.shared
        fixed = shared.version
        snapshot = self.tables.snapshot(
            shared.asset, version=fixed if version is None and timestamp is None else version, timestamp=timestamp
        )
        if snapshot.table_id != shared.table_id:
            raise NotFound("There is no such table.")
        if fixed is not None:
            allowed = snapshot.version == fixed
        elif shared.history_from is None:
            asked = version is not None or timestamp is not None
            allowed = not asked or snapshot.version == self.tables.snapshot(shared.asset).version
        else:
            allowed = snapshot.version >= shared.history_from
        if not allowed:
            raise InvalidArgument(_unshared(shared))
        return snapshot

    def continued(self, version: int) -> Snapshot:
        """Returns the version of a query that continues, as its links do when the table has a newer version.

        Raises:
            NotFound: the table was dropped, or dropped and created again.
            InvalidArgument: the version is not shared any more.
        """
        shared = self.shared
        snapshot = self.tables.snapshot(shared.asset, version=version)
        if snapshot.table_id != shared.table_id:
            raise NotFound("There is no such table.")
        if shared.version not in (None, version) or (shared.history_from is not None and version < shared.history_from):
            raise InvalidArgument(_unshared(shared))
        return snapshot

    def version_since(self, instant: datetime) -> int:
        """Returns the first shared version at or after an instant.

        Raises:
            UnknownVersion: the table has no version since then.
        """
        newest = self.snapshot()
        first = newest.version if self.shared.history_from is None else self.shared.history_from
        try:
            commit = self.tables.commit_at(self.shared.asset, instant)
        except UnknownVersion:
            return first
        version = commit.version if commit.committed_at >= instant else commit.version + 1
        if version > newest.version:
            raise UnknownVersion(f"The table has no version since {instant.isoformat()}.")
        return max(version, first)

    def require_history(self, first: int, last: int) -> None:
        """Requires that recipients may read all versions from `first` through `last`.

        Raises:
            InvalidArgument: they may not, or the order is wrong.
        """
        if self.shared.history_from is None or first < self.shared.history_from:
            raise InvalidArgument(_unshared(self.shared))
        if last < first:
            raise InvalidArgument("The ending version is before the starting version. Exchange them.")

    def require_feed(self, first: Snapshot, last: Snapshot) -> None:
        """Requires that the table has a change data feed. Raises `InvalidArgument`."""
        if any(one.properties.get(_FEED, "").lower() != "true" for one in (first, last)):
            raise InvalidArgument("The table has no change data feed at these versions. Query its versions instead.")

    def partition_filter(self, snapshot: Snapshot) -> Callable[[Any], list[bool]]:
        """Returns the filter of the share for partition values of files."""
        from lakehouse.partition_filters import PartitionFilter

        return PartitionFilter(self.shared.partition_filter, snapshot).matches


def required_features(snapshot: Shape) -> list[str]:
    """Returns the reader features that a client needs to read the rows of a version."""
    named = snapshot.protocol.get("readerFeatures") or []
    features = [name for name in ("timestampNtz",) if name in named]
    if any(name in named for name in ("typeWidening", "typeWidening-preview")):
        features.append("typeWidening")
    if snapshot.column_mapping:
        features.append("columnMapping")
    if snapshot.has_deletions:
        features.append("deletionVectors")
    return sorted(features)


def schema_string(snapshot: Shape) -> str:
    """Returns the schema as JSON, without what only writers use, such as expressions."""
    prefixes = ("comment", "delta.columnMapping.") if snapshot.column_mapping else ("comment",)
    return json.dumps(_readable(json.loads(snapshot.schema_json), prefixes))


def _readable(value: Any, prefixes: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_readable(one, prefixes) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: {key: text for key, text in one.items() if key.startswith(prefixes)}
        if name == "metadata" and isinstance(one, dict)
        else _readable(one, prefixes)
        for name, one in value.items()
    }


def _unshared(shared: Any) -> str:
    if shared.version is not None:
        return f"The table is shared at version {shared.version} only. Leave out the version."
    if shared.history_from is None:
        return "The table is shared without history. Leave out the version, or ask the provider for its history."
    return f"The table is shared from version {shared.history_from}."
