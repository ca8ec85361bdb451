"""Reproductions: versions that a run in a branch makes again from their recorded inputs, with the verdict.

The API stores what to make again. The run reads it here, compares, and stores the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from core import clock
from core.db import METADATA, Database, UtcDateTime
from core.errors import HeadwaterError
from core.ids import is_asset_id
from lakehouse.branches import areas, pinned, remove_area
from lakehouse.lineage import Edge, Lineage
from lakehouse.tables import Tables

ID_PREFIX = "rep_"
"""Beginning of the ids of reproductions, and so of their areas."""

REPRODUCTION = sa.Table(
    "reproduction",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False, index=True),
    sa.Column("project_id", sa.String(64), index=True),
    sa.Column("asset", sa.String(200), nullable=False, index=True),
    sa.Column("version", sa.String(128), nullable=False),
    sa.Column("operation_id", sa.String(64), nullable=False),
    # `RecordedStep` as JSON.
    sa.Column("recorded", sa.JSON, nullable=False),
    sa.Column("verdict", sa.String(32)),
    sa.Column("reason", sa.Text),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("finished_at", UtcDateTime),
)

REPRODUCED_ASSET = sa.Table(
    "reproduced_asset",
    METADATA,
    sa.Column("reproduction_id", sa.ForeignKey("reproduction.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("asset", sa.String(200), primary_key=True, index=True),
)
"""The assets that a reproduction names: the asset and its inputs. Who may read the rows of all of them may read it."""


class Verdict(StrEnum):
    """The result of a reproduction. NOT_REPRODUCIBLE: the version couldn't be made again under the same conditions."""

    EQUAL = "EQUAL"
    DIFFERENT = "DIFFERENT"
    NOT_REPRODUCIBLE = "NOT_REPRODUCIBLE"


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """The step that produced a version, as its lineage records it."""

    asset: str
    version: str
    run: str
    step: str
    code_version: str
    git_sha: str
    env_digest: str
    engine: str
    params_digest: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Data version of each table that the step read, and digest of each file and other source."""
    base: str | None = None
    """The version that this version continues; `None` if it doesn't depend on an earlier one."""
    partition: str = ""
    """Key of the partition that the step wrote; empty if it wrote no single one."""

    @property
    def pins(self) -> dict[str, str]:
        """Data version of each input that is a table."""
        return {name: version for name, version in self.inputs.items() if is_asset_id(name)}

    @property
    def sources(self) -> dict[str, str]:
        """Digest of each input that isn't a table."""
        return {name: version for name, version in self.inputs.items() if not is_asset_id(name)}

    def to_json(self) -> dict[str, Any]:
        """Returns the step as JSON values. `RecordedStep(**values)` restores it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of a reproduction, with the reason and the figures of the comparison."""

    verdict: Verdict
    reason: str
    result: Mapping[str, Any] = field(default_factory=dict)


def recorded_steps(lineage: Lineage, asset: str, version: str) -> list[RecordedStep]:
    """Returns the steps that produced a version, newest first. Several steps can produce a version with equal rows."""
    steps: dict[tuple[str, str], list[Edge]] = {}
    for edge in lineage.provenance(asset, version):
        steps.setdefault((edge.run, edge.step), []).append(edge)
    return [recorded_step(edges) for edges in reversed(steps.values())]


def recorded_step(edges: Sequence[Edge]) -> RecordedStep:
    """Returns the step that recorded these edges of one version."""
    first = edges[0]
    inputs: dict[str, str] = {}
    base = None
    for edge in edges:
        if edge.in_asset == first.out_asset:
            base = edge.in_version
        elif edge.in_asset:
            inputs.setdefault(edge.in_asset, edge.in_version)
    return RecordedStep(
        first.out_asset,
        first.out_version,
        first.run,
        first.step,
        first.code_version,
        first.git_sha,
        first.env_digest,
        first.engine,
        first.params_digest,
        inputs,
        base,
        first.partition,
    )


def unreadable(tables: Tables, step: RecordedStep) -> list[str]:
    """Returns why a step can't read the same versions again, or its result can't be compared; none if both work."""
    versions = {**step.pins, step.asset: step.version}
    problems = [problem for table, version in versions.items() if (problem := _problem(tables, table, version))]
    if step.base and (problem := _problem(tables, step.asset, step.base)):
        problems.append(problem)
    return problems


def hold(tables: Tables, id: str, step: RecordedStep) -> None:
    """Protects the versions that a step reads again, and the one to compare with, until `clear`."""
    versions = [*step.pins.items(), (step.asset, step.version), *([(step.asset, step.base)] if step.base else [])]
    for table, version in versions:
        tables.pins.pin(id, table, int(version.rpartition("@")[2]))


def clear(tables: Tables, id: str) -> None:
    """Deletes the area of a reproduction, and ends the protection of the versions it reads. Idempotent."""
    remove_area(tables.storage, id)
    tables.pins.unpin(id)


def abandoned(database: Database, tables: Tables, *, since: datetime, is_running: Callable[[str], bool]) -> list[str]:
    """Returns the reproductions with an area or pins that no run uses any more.

    Their run was killed, or ended by force after a cancellation.

    Args:
        database: the metadata database.
        tables: the lakehouse.
        since: reproductions that were requested later may not have a run yet.
        is_running: returns whether an operation has an unfinished run.
    """
    with database.read() as connection:
        unfinished = sa.select(REPRODUCTION).where(REPRODUCTION.c.verdict.is_(None))
        rows = connection.execute(unfinished).all()
    used = {row.id for row in rows if row.created_at >= since or is_running(row.operation_id)}
    left = {*areas(tables.storage), *(pin.holder for pin in tables.pins.pins())}
    return sorted(id for id in left - used if id.startswith(ID_PREFIX))


def find(database: Database, id: str) -> sa.Row[Any] | None:
    """Returns a reproduction; `None` if it was deleted."""
    with database.read() as connection:
        return connection.execute(sa.select(REPRODUCTION).where(REPRODUCTION.c.id == id)).first()


def finish(database: Database, id: str, outcome: Outcome) -> None:
    """Stores the verdict of a reproduction. A verdict that is already stored doesn't change."""
    unfinished = REPRODUCTION.update().where(REPRODUCTION.c.id == id, REPRODUCTION.c.verdict.is_(None))
    with database.write() as connection:
        connection.execute(
            unfinished.values(
                verdict=outcome.verdict.value,
                reason=outcome.reason,
                result=dict(outcome.result),
                finished_at=clock.now(),
            )
        )


def _problem(tables: Tables, table: str, version: str) -> str:
    try:
        snapshot = pinned(tables, table, version)
        missing = tables.storage.missing(table, snapshot.paths)
    except HeadwaterError as error:
        return error.detail
    if missing:
        return f"A vacuum deleted {len(missing)} data files of version {version} of {table}."
    return ""
