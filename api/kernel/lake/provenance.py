"""Which data, code and run stand behind a version: the same answer for assets, models, indexes and operations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import sees
from api.kernel.platform import open_lineage, open_tables
from core.errors import UnknownVersion

if TYPE_CHECKING:
    from lakehouse.lineage import Edge, Lineage
    from lakehouse.tables import Tables


class ProvenanceQuery(Query):
    """Which version to explain."""

    version: Version | None = None
    """A table version or a data version; by default the latest on record."""


class Input(Model):
    """A direct input."""

    asset: str
    """Id of the input."""

    version: str
    """The exact version that was read."""

    columns: list[str]
    """Columns that were read; empty: all, or not known."""


class Making(Model):
    """One step of one run that made the version."""

    run: str
    """Run id."""

    step: str
    """Step of the run."""

    code_version: str
    """Version of the code."""

    git_sha: str
    """Commit of the project; empty if it ran outside git."""

    env_digest: str
    """Digest of the installed packages."""

    engine: str
    """What computed it, with version."""

    params_digest: str
    """Digest of the parameters."""

    principal: str
    """Who asked for it."""

    at: datetime
    """When."""

    inputs: list[Input]
    """What it read."""


class Provenance(Model):
    """Which data, code and run stand behind a version."""

    asset: str
    """Id of the asset."""

    version: str
    """Its data version."""

    makings: list[Making]
    """The steps that made it, first to last."""


def explain(ctx: Context, asset: str, version: str | None) -> Provenance:
    """What stands behind a version of an asset; the latest on record if None. Blocking: call it in a worker thread.

    Inputs that the caller may not know of are left out.

    Raises:
        UnknownVersion: the table has no such version, or nothing is on record of it.
    """
    platform, seen = ctx.platform, sees(ctx.platform, ctx.principal.access)
    record = platform.part(open_lineage)
    resolved = _require_version(platform.part(open_tables), record, asset, version)
    makings: dict[tuple[str, str], Making] = {}
    for edge in _require_edges(record, asset, resolved):
        making = makings.setdefault((edge.run, edge.step), _making(edge))
        if edge.in_asset and seen(edge.in_asset):
            making.inputs.append(Input(asset=edge.in_asset, version=edge.in_version, columns=list(edge.in_columns)))
    return Provenance(asset=asset, version=resolved, makings=list(makings.values()))


def data_version(tables: Tables, record: Lineage, asset: str, version: str | None) -> str | None:
    """The data version a caller means; None if he means the latest and there is none.

    Raises:
        UnknownVersion: the table has no such version.
    """
    if version is None:
        return record.latest(asset)
    if "@" in version:
        versions.number(version)
        return version
    return versions.snapshot(tables, asset, version).data_version


def _require_version(tables: Tables, record: Lineage, asset: str, version: str | None) -> str:
    """As `data_version`; raises `UnknownVersion` if nothing is on record."""
    found = data_version(tables, record, asset, version)
    if found is None:
        raise UnknownVersion(f"Nothing is on record of {asset} yet: materialize it first.")
    return found


def _require_edges(record: Lineage, asset: str, version: str) -> Sequence[Edge]:
    """The direct inputs of a version; raises `UnknownVersion` if it is not on record."""
    edges = record.provenance(asset, version)
    if not edges:
        latest = record.latest(asset)
        raise UnknownVersion(
            f"Version {version!r} of {asset} is not on record. "
            + (f"The latest that is: {latest}." if latest else "No version is."),
            metadata={"similar": [latest] if latest else []},
        )
    return edges


def _making(edge: Edge) -> Making:
    return Making(
        run=edge.run,
        step=edge.step,
        code_version=edge.code_version,
        git_sha=edge.git_sha,
        env_digest=edge.env_digest,
        engine=edge.engine,
        params_digest=edge.params_digest,
        principal=edge.principal,
        at=edge.at,
        inputs=[],
    )
