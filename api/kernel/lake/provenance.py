"""Provenance of a version: the data, code, and runs that produced it. Assets, models, and indexes return it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import visible_assets
from api.kernel.permissions.projects import FORMER, Projects
from api.kernel.platform import open_lineage, open_tables
from core.errors import UnknownVersion

if TYPE_CHECKING:
    from lakehouse.lineage import Edge, Lineage
    from lakehouse.tables import Tables


class ProvenanceQuery(Query):
    """The version to return the provenance of."""

    version: Version | None = None
    """A table version or a data version. Defaults to the newest recorded version."""


class Input(Model):
    """A direct input of a materialization."""

    asset: str
    """Id of the input asset."""

    version: str
    """Data version that was read."""

    columns: list[str]
    """Columns that were read. Empty if all columns were read, or if they are unknown."""


class Materialization(Model):
    """A step of a run that produced the version."""

    run: str
    """Id of the run."""

    step: str
    """Step of the run."""

    code_version: str
    """Version of the code."""

    git_sha: str
    """Commit of the repository. Empty if the run was outside of git."""

    env_digest: str
    """Digest of the installed packages."""

    engine: str
    """Engine that computed the version, with its version."""

    params_digest: str
    """Digest of the parameters."""

    partition: str | None
    """Key of the partition that the step wrote. Null if it wrote the whole table."""

    principal: str
    """Principal that requested the run. `former-organization` if the project belonged to another organization then."""

    at: datetime
    """Time of the materialization."""

    inputs: list[Input]
    """Inputs that the step read and the caller can see."""


class Provenance(Model):
    """The data, code, and runs that produced a version."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version."""

    materializations: list[Materialization]
    """Steps that produced the version, from first to last."""


def explain(ctx: Context, asset: str, version: str | None) -> Provenance:
    """Returns the provenance of a version, or of the newest recorded one if None. Call it in a worker thread.

    Inputs that the caller cannot see are left out.

    Raises:
        UnknownVersion: the table has no such version, or the version has no recorded lineage.
    """
    resolved = require_version(ctx, asset, version)
    found = recorded(ctx, asset, resolved)
    if found is None:
        latest = ctx.platform.part(open_lineage).latest(asset)
        raise UnknownVersion(
            f"Version {resolved!r} of {asset} has no recorded lineage. "
            + (f"The newest version with lineage is {latest}." if latest else "No version has."),
            metadata={"similar": [latest] if latest else []},
        )
    return found


def recorded(ctx: Context, asset: str, version: str) -> Provenance | None:
    """Returns the recorded provenance of a data version, or None. Inputs that the caller cannot see are left out.

    Call it in a worker thread. It does not check whether the caller can see the asset itself.
    """
    platform, is_visible = ctx.platform, visible_assets(ctx.platform, ctx.principal.access)
    steps: dict[tuple[str, str], Materialization] = {}
    moved_at = platform.part(Projects).moved_at(asset.partition(".")[0])
    for edge in platform.part(open_lineage).provenance(asset, version):
        foreign = moved_at is not None and edge.at < moved_at
        principal = FORMER if foreign else edge.principal
        step = steps.setdefault((edge.run, edge.step), _materialization(edge, principal))
        if edge.in_asset and is_visible(edge.in_asset):
            step.inputs.append(Input(asset=edge.in_asset, version=edge.in_version, columns=list(edge.in_columns)))
    return Provenance(asset=asset, version=version, materializations=list(steps.values())) if steps else None


def require_version(ctx: Context, asset: str, version: str | None) -> str:
    """Returns the data version for a version in a request; the newest recorded one for None.

    Raises:
        UnknownVersion: the table has no such version, or nothing is recorded.
    """
    platform = ctx.platform
    resolved = data_version(platform.part(open_tables), platform.part(open_lineage), asset, version)
    if resolved is None:
        raise UnknownVersion(f"{asset} has no recorded version yet. Materialize it first.")
    return resolved


def data_version(tables: Tables, lineage: Lineage, asset: str, version: str | None) -> str | None:
    """Returns the data version for a version in a request. None requests the newest one, which may not exist.

    Raises:
        UnknownVersion: the table has no such version.
    """
    if version is None:
        return lineage.latest(asset)
    if "@" in version:
        versions.number(version)
        return version
    return versions.snapshot(tables, asset, version).data_version


def _materialization(edge: Edge, principal: str) -> Materialization:
    return Materialization(
        run=edge.run,
        step=edge.step,
        code_version=edge.code_version,
        git_sha=edge.git_sha,
        env_digest=edge.env_digest,
        engine=edge.engine,
        params_digest=edge.params_digest,
        partition=edge.partition or None,
        principal=principal,
        at=edge.at,
        inputs=[],
    )
