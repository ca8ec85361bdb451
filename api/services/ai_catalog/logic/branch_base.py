"""The base of a branch: the data version of each table that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lookup import unknown_asset
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.logic.readable_tables import may_read
from core.errors import UnknownTable, UnknownVersion
from lakehouse.reproductions import recorded_steps

if TYPE_CHECKING:
    from lakehouse.tables import Tables


@dataclass(frozen=True, slots=True)
class Base:
    """The versions of tables, and the code versions of assets, of a project."""

    project: str
    """Name of the project."""
    versions: Mapping[str, str]
    code_versions: Mapping[str, str]
    made_by: Mapping[str, str]
    """Code version that made each given version, as far as it is recorded."""


def resolve(ctx: Context, project: str, at: datetime | None, given: Mapping[str, str]) -> Base:
    """Returns the versions that a branch of a project reads. Runs in a worker thread.

    Args:
        ctx: the request.
        project: name of the project.
        at: time of the versions; `None` for the newest ones.
        given: versions of single tables. They may belong to other projects.

    Raises:
        UnknownAsset: the caller can't see or read a given table.
        UnknownVersion: a given version doesn't exist.
    """
    tables, view = ctx.platform.part(open_tables), ctx.view()
    lineage = ctx.platform.part(open_lineage)
    made_by: dict[str, str] = {}
    found: dict[str, str] = {}
    nodes = [node for node in view.nodes.values() if node.id.partition(".")[0] == project]
    for node in nodes:
        if node.id not in given and readable(ctx, node.id) and (version := _version(tables, node.id, at)):
            found[node.id] = version
    for asset, version in given.items():
        if not readable(ctx, asset):
            raise unknown_asset(view, asset)
        found[asset] = versions.snapshot(tables, asset, version).data_version
        for step in recorded_steps(lineage, asset, lineage.recorded_version(asset, found[asset]))[:1]:
            made_by[asset] = step.code_version
    return Base(project, found, {node.id: node.code_version for node in nodes if node.code_version}, made_by)


def readable(ctx: Context, asset: str) -> bool:
    """Returns whether the caller can see an asset and read its rows."""
    return may_read(ctx.platform, ctx.principal.access, asset)


def _version(tables: Tables, asset: str, at: datetime | None) -> str | None:
    """Returns the data version of a table; `None` if it doesn't exist, or didn't at that time."""
    try:
        return tables.snapshot(asset).data_version if at is None else tables.commit_at(asset, at).data_version
    except (UnknownTable, UnknownVersion):
        return None
