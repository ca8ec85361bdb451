"""Shared tables that policies restrict: recipients get files with the rows and values that are left.

The policies of the principal who shared the table hold, and those that restrict everyone, because no policy can exempt
recipients. They are applied when a recipient asks. After a change, links and pages from before it are refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from api.kernel.lake.row_access import restriction
from api.kernel.platform import Platform
from api.services.ai_catalog.logic.sharing import Served
from core.errors import InvalidArgument, PermissionDenied, SchemaMismatch

if TYPE_CHECKING:
    from lakehouse.log_actions import FileAction
    from lakehouse.restricted_files import RestrictedFiles, RestrictedVersion
    from lakehouse.restrictions import Restriction
    from lakehouse.snapshot import Snapshot

_FEATURES = ("timestampNtz",)
"""Reader features of types, which the files of the masked rows need as well."""


def open_restricted_files(platform: Platform) -> RestrictedFiles:
    """Returns the files of restricted versions of this process."""
    from lakehouse.restricted_files import RestrictedFiles

    return RestrictedFiles(platform.settings.home / "restricted-files")


class Masking:
    """What policies leave of a shared table."""

    def __init__(self, platform: Platform, served: Served) -> None:
        self._platform = platform
        self._served = served
        self.restricted = served.restricted
        """Whether a policy hides anything of any version."""

    def restriction(self, snapshot: Snapshot) -> Restriction | None:
        """Returns what is hidden of a version, or `None` if recipients get its files.

        Raises:
            InvalidArgument: a policy can't be applied to the version.
        """
        from lakehouse.partition_filters import PartitionFilter
        from lakehouse.restrictions import combined

        if not self.restricted:
            return None
        row, names = self._served.row, snapshot.schema.names
        try:
            own, theirs = (
                reader and restriction(self._platform, reader, row.asset, names)
                for reader in (self._served.sharer, self._served.recipients)
            )
        except PermissionDenied:
            raise _inapplicable() from None
        # Which files are there would tell whether a masked value meets the filter of a sharer who doesn't see it.
        if own and any(name in own.masks for name in PartitionFilter(row.partition_filter, snapshot).columns):
            raise _inapplicable()
        return combined([one for one in (own, theirs) if one])

    def version(self, snapshot: Snapshot) -> RestrictedVersion | None:
        """Returns the files with what is left of a version, or `None` if recipients get its files.

        Raises:
            InvalidArgument: a policy can't be applied to the version, or the version is too large.
        """
        found = self.restriction(snapshot)
        if found is None:
            return None
        files = self._platform.part(open_restricted_files)
        try:
            return files.of(snapshot, found, self._served.row.partition_filter)
        except (PermissionDenied, SchemaMismatch):
            raise _inapplicable() from None

    def require_unrestricted(self) -> None:
        """Requires that recipients get whole versions. Raises `InvalidArgument` otherwise."""
        if self.restricted:
            raise InvalidArgument(
                "The provider hides rows or values of the table from you, so the changes between its versions can't be "
                "shared. Query the versions instead."
            )


class MaskedShape:
    """What clients know of a version whose rows were written again: plain files without partitions."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.version = snapshot.version
        self.partition_columns: list[str] = []
        self.properties: dict[str, str] = {}
        self.column_mapping = ""
        self.has_deletions = False
        named = snapshot.protocol.get("readerFeatures") or []
        self.protocol: dict[str, Any] = {"readerFeatures": [name for name in named if name in _FEATURES]}
        schema = json.loads(snapshot.schema_json)
        self.schema_json = json.dumps(schema | {"fields": [one | {"nullable": True} for one in schema["fields"]]})


def masked_files(version: RestrictedVersion, modified_at: int) -> list[FileAction]:
    """Returns the files of a restricted version as actions. Their statistics are the number of rows only."""
    from lakehouse.log_actions import ADD, FileAction

    return [
        FileAction(ADD, one.name, {}, one.size, modified_at, json.dumps({"numRecords": one.row_count}), None)
        for one in version.files
    ]


def _inapplicable() -> InvalidArgument:
    return InvalidArgument(
        "This version can't be shared now, because a policy of the provider doesn't fit it. Ask the provider."
    )
