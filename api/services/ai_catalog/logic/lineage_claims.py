"""Claims about assets of the platform in lineage events: which dataset is an asset, and whether its version exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.permissions.graph import asset_securable
from api.kernel.platform import open_tables
from api.services.ai_catalog.logic.openlineage import DatasetUse, LineageMessage
from core.errors import HeadwaterError, Unavailable
from core.ids import is_asset_id

if TYPE_CHECKING:
    from lakehouse.tables import Tables

WRITE_ASSET = "ai_catalog.asset.materialize"
"""The permission to make versions of an asset. Without it, a claim about an asset is one about an external dataset."""

_LOCAL = ("file", "file:", "file://")


class FindingCode(StrEnum):
    """Why a claim about an asset makes no edge."""

    UNKNOWN_VERSION = "UNKNOWN_VERSION"
    OTHER_WRITER = "OTHER_WRITER"
    NO_VERSION = "NO_VERSION"
    TWO_RESULTS = "TWO_RESULTS"
    TOO_MANY_EDGES = "TOO_MANY_EDGES"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a dataset of an event is: an asset at a version that its table has, or an external dataset."""

    asset: str = ""
    version: str | None = None
    previous: str | None = None
    """The version of the asset on which this one is based, if another writer made this one."""
    code: FindingCode = FindingCode.UNKNOWN_VERSION
    problem: str = ""
    """Why the version of the asset does not count. Empty if it does."""


class Claims:
    """The datasets of events, with the rights of the caller. Reads Delta logs: use it in a worker thread.

    A dataset is an asset if its name, its location, or one of its symbolic links names an asset that the caller may
    write. The result is the same for an asset that the caller may not write and for one that does not exist.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._asset_of_name = cache(self._asset_of)
        self._claim_of_version = cache(self._claim_of)

    def resolve(self, messages: Sequence[LineageMessage]) -> list[list[Claim]]:
        """Returns what the datasets of each event are."""
        return [[self._resolve(use) for use in message.uses] for message in messages]

    @cached_property
    def _tables(self) -> Tables:
        return self._ctx.platform.part(open_tables)

    def _resolve(self, use: DatasetUse) -> Claim:
        for namespace, name in use.names:
            if asset := self._asset_of_name(namespace, name):
                return self._claim_of_version(asset, use.version, use.direction == "OUTPUT")
        return Claim(version=use.version)

    def _asset_of(self, namespace: str, name: str) -> str:
        """Returns the asset that the caller may write and that these name, or an empty text."""
        asset = name if is_asset_id(name) else self._table_at(namespace, name)
        if not asset or not self._ctx.principal.access.allows(WRITE_ASSET, asset_securable(self._ctx.platform, asset)):
            return ""
        return asset if self._exists(asset) else ""

    def _table_at(self, namespace: str, name: str) -> str:
        """Returns the id of the table at a location, as naming conventions of OpenLineage write it."""
        path = name.rstrip("/")
        location = path if namespace.rstrip("/") in _LOCAL else f"{namespace.rstrip('/')}/{path.lstrip('/')}"
        root = self._tables.storage.root
        for scheme in ("s3a://", "s3n://"):
            location = location.replace(scheme, "s3://", 1) if location.startswith(scheme) else location
        root = root.replace("s3a://", "s3://", 1) if root.startswith("s3a://") else root
        below = location.removeprefix(f"{root}/") if location.startswith(f"{root}/") else ""
        asset = below.replace("/", ".")
        return asset if below.count("/") == 2 and is_asset_id(asset) else ""

    def _exists(self, asset: str) -> bool:
        try:
            if asset in self._ctx.orchestrator.view().nodes:
                return True
        except Unavailable:  # Lineage arrives also while Dagster starts.
            pass
        return self._tables.exists(asset)

    def _claim_of(self, asset: str, version: str | None, written: bool) -> Claim:
        if version is None:
            return Claim(asset)
        try:
            snapshot = versions.snapshot(self._tables, asset, version)
        except HeadwaterError as error:
            if error.status >= 500:
                raise
            return Claim(asset, problem=error.detail)
        if not written:
            return Claim(asset, snapshot.data_version)
        from lakehouse.commits import read_entry
        from lakehouse.provenance import stored_provenance

        entry = read_entry(self._tables.storage, asset, snapshot.version)
        if own := stored_provenance(entry):
            problem = f"Run {own.get('run')} of the platform wrote {snapshot.data_version} of {asset}."
            return Claim(asset, code=FindingCode.OTHER_WRITER, problem=problem)
        replaces = str(entry.parameters.get("mode", "")).lower() == "overwrite" and not entry.parameters.get(
            "predicate"
        )
        based = snapshot.version > 0 and not replaces and "REPLACE TABLE" not in entry.operation
        previous = f"{snapshot.table_id}@{snapshot.version - 1}" if based else None
        return Claim(asset, snapshot.data_version, previous)


def finding(code: FindingCode, namespace: str, name: str, *, detail: str, **facts: Any) -> dict[str, Any]:
    """Returns a finding as it is stored. `namespace` and `name` are those of the dataset or job."""
    return {
        "code": code.value,
        "namespace": namespace,
        "name": name,
        "asset": None,
        "version": None,
        "detail": detail,
    } | (facts)
