"""In-toto statements (v1) about versions: a subject with its content digest, and the provenance as predicate.

A statement names no principal, because it never changes and stays readable when its project moves to another
organization.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lake.provenance import Input, Materialization, explain, require_version
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.logic.content_digests import ALGORITHM, content_digest
from api.services.ai_catalog.logic.readable_tables import may_read, rows_denied
from core.errors import Conflict
from core.ids import is_asset_id

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:headwater:attestation:provenance:1"

_MAX_INPUTS = 200


def build(ctx: Context, asset: str, version: str | None) -> dict[str, Any]:
    """Returns the statement about a version, with the inputs that the caller can see. Runs in a worker thread.

    Raises:
        UnknownVersion: there is no such version, or its provenance is not recorded.
        PermissionDenied: the caller can see an input, but not read its rows.
        Conflict: the version has no digest, no recorded provenance of its rows, or too many inputs.
    """
    resolved = require_version(ctx, asset, version)
    provenance = explain(ctx, asset, ctx.platform.part(open_lineage).recorded_version(asset, resolved))
    if resolved != provenance.version:
        tables = ctx.platform.part(open_tables)
        if tables.content_version(asset, versions.number(resolved)) > versions.number(provenance.version):
            raise Conflict(f"The writer of version {resolved} of {asset} recorded no provenance to attest.")
    inputs = {(used.asset, used.version): used for one in provenance.materializations for used in one.inputs}
    if len(inputs) > _MAX_INPUTS:
        raise Conflict(f"The version has {len(inputs)} inputs. A statement can contain {_MAX_INPUTS}.")
    for name, _ in inputs:
        if is_asset_id(name) and not may_read(ctx.platform, ctx.principal.access, name):
            raise rows_denied()
    subject = content_digest(ctx, asset, resolved)
    if subject.digest is None:
        raise Conflict(f"{asset} at {resolved} can't be attested. {subject.problem}")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": asset, "uri": uri(asset, resolved), "digest": {ALGORITHM: subject.digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "version": resolved,
            "recordedVersion": provenance.version,
            "materializations": [_materialization(one) for one in provenance.materializations],
            "resolvedDependencies": [_dependency(ctx, used) for used in inputs.values()],
        },
    }


def uri(asset: str, version: str) -> str:
    """Returns the URI of a version."""
    return f"urn:headwater:version:{quote(asset, safe='.')}:{quote(version, safe='@')}"


def assets_of(statement: dict[str, Any]) -> list[str]:
    """Returns the assets that a statement names, without external sources."""
    parts = [*statement["subject"], *statement["predicate"]["resolvedDependencies"]]
    return sorted({part["name"] for part in parts if is_asset_id(part["name"])})


def _materialization(one: Materialization) -> dict[str, Any]:
    return {
        "buildDefinition": {
            "buildType": "urn:headwater:materialization:1",
            "externalParameters": {"paramsDigest": one.params_digest},
            "internalParameters": {
                "codeVersion": one.code_version,
                "gitCommit": one.git_sha,
                "environmentDigest": one.env_digest,
                "engine": one.engine,
            },
        },
        "runDetails": {
            "builder": {"id": "urn:headwater:platform"},
            "metadata": {"invocationId": f"{one.run}/{one.step}", "finishedOn": one.at.isoformat()},
        },
    }


def _dependency(ctx: Context, used: Input) -> dict[str, Any]:
    """Returns an input with the digest of its rows, or of its file. Without a digest, an annotation says why."""
    result: dict[str, Any] = {"name": used.asset, "uri": uri(used.asset, used.version)}
    annotations: dict[str, Any] = {"version": used.version}
    if used.columns:
        annotations["columns"] = used.columns
    if used.version.startswith("sha256:"):
        result["digest"] = {"sha256": used.version.removeprefix("sha256:")}
    elif is_asset_id(used.asset):
        found = content_digest(ctx, used.asset, used.version)
        if found.digest:
            result["digest"] = {ALGORITHM: found.digest}
        else:
            annotations["noDigest"] = found.problem
    return result | {"annotations": annotations}
