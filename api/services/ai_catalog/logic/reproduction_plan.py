"""The plan of a reproduction: the recorded step that produced a version, and the reasons why it can't be repeated."""

from __future__ import annotations

from dataclasses import dataclass

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lake.provenance import require_version
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.logic.readable_tables import may_read, rows_denied
from core import definition_revisions
from core.definition_revisions import RecordedDefinition
from core.errors import Conflict, UnknownVersion
from core.ports import AssetNode
from lakehouse.environment import env_digest, git_sha
from lakehouse.reproductions import RecordedStep, recorded_steps, unreadable
from lakehouse.tables import Tables


@dataclass(frozen=True, slots=True)
class Planned:
    """A step to repeat, and the reasons why its result can't be the same."""

    version: str
    """The data version to compare with."""
    step: RecordedStep
    problems: tuple[str, ...]
    differences: tuple[tuple[str, str, str], ...]
    """Name, recorded value, and present value of each condition that differs."""
    definition: RecordedDefinition | None = None
    """The recorded definition to use instead of the one that runs now; `None` if the asset has the same code."""


def plan(ctx: Context, asset: str, version: str | None) -> Planned:
    """Returns the plan for a version, of the newest step that produced it without problems. Runs in a worker thread.

    Raises:
        UnknownVersion: there is no such version, or its provenance is not recorded.
        PermissionDenied: the caller can't read the rows of the asset and of all of its inputs.
        Conflict: the writer of the version recorded no provenance.
    """
    node = lookup.asset(ctx.view(), asset)
    require_rows(ctx, [asset])
    tables, lineage = ctx.platform.part(open_tables), ctx.platform.part(open_lineage)
    resolved = _with_same_rows(tables, asset, require_version(ctx, asset, version))
    recorded = lineage.recorded_version(asset, resolved)
    steps = recorded_steps(lineage, asset, recorded)
    if not steps:
        raise UnknownVersion(f"Version {resolved!r} of {asset} has no recorded provenance, so nothing can repeat it.")
    if resolved != recorded and tables.content_version(asset, versions.number(resolved)) > versions.number(recorded):
        raise Conflict(f"The writer of version {resolved} of {asset} recorded no provenance, so nothing can repeat it.")
    planned = []
    for step in steps:
        require_rows(ctx, list(step.pins))
        definition = None if _runs(node, step) else _recorded_definition(ctx, step)
        problems = (*([] if definition else _problems(node, step)), *unreadable(tables, step))
        found = Planned(recorded, step, problems, _differences(node, step, definition), definition)
        if not found.problems:
            return found
        planned.append(found)
    return planned[0]


def _with_same_rows(tables: Tables, asset: str, version: str) -> str:
    """Returns the version that wrote the rows of a version. A compaction records a step, but computes no rows."""
    table_id, separator, number = version.rpartition("@")
    return f"{table_id}@{tables.content_version(asset, int(number))}" if separator and tables.exists(asset) else version


def require_rows(ctx: Context, assets: list[str]) -> None:
    """Requires that the caller can see assets and read their rows.

    A verdict tells whether rows are equal to rows that the caller could compute, so it tells nothing more to them.

    Raises:
        PermissionDenied: the caller can't read one of them. The message doesn't name it.
    """
    if not all(may_read(ctx.platform, ctx.principal.access, name) for name in assets):
        raise rows_denied()


def _runs(node: AssetNode, step: RecordedStep) -> bool:
    return node.executable and (node.code_version or "") == step.code_version


def _recorded_definition(ctx: Context, step: RecordedStep) -> RecordedDefinition | None:
    """Returns the published revision that made a version, if the caller can read the rows of all that it reads."""
    with ctx.platform.database.read() as connection:
        found = definition_revisions.of_code(connection, step.asset, step.code_version)
    if found is not None:
        require_rows(ctx, list(found.reads or ()))
    return found


def _problems(node: AssetNode, step: RecordedStep) -> list[str]:
    if not node.executable or node.retired or node.broken:
        return [f"{node.id} can't be materialized: it is observed only, retired, or broken. See the asset's health."]
    if (node.code_version or "") != step.code_version:
        before, now = step.code_version or "not recorded", node.code_version or "not declared"
        return [f"The code of {node.id} has changed: its version was {before}, and is {now} now."]
    return []


def _differences(
    node: AssetNode, step: RecordedStep, definition: RecordedDefinition | None
) -> tuple[tuple[str, str, str], ...]:
    code = definition.code_versions[step.asset] if definition else node.code_version or ""
    present = {
        "code_version": (step.code_version, code),
        "git_sha": (step.git_sha, git_sha()),
        "env_digest": (step.env_digest, env_digest()),
    }
    return tuple((name, before, now) for name, (before, now) in present.items() if before != now)
