"""The rights of the publishers of pipelines: a schedule runs only what its publisher may materialize now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.permissions.projects import Projects
from api.kernel.platform import Platform
from core.events import Event
from core.pipelines import PUBLISHED_PIPELINE as TABLE

_MATERIALIZE = "ai_catalog.asset.materialize"


@dataclass(frozen=True, slots=True)
class PipelineChange:
    """A change of a pipeline: why it is blocked now, or None if it no longer is."""

    id: str
    project: str
    published_by: str
    published_at: datetime
    was: str | None
    now: str | None


def changes(
    platform: Platform, connection: Connection, access_of: Callable[[str], Access | None]
) -> Iterator[PipelineChange]:
    """Yields the changes that are due.

    Args:
        platform: the shared objects of the process.
        connection: a connection in a transaction.
        access_of: returns the rights of a publisher, or None if their account is not active.
    """
    for row in connection.execute(sa.select(TABLE)).all():
        access = access_of(row.published_by_id)
        places = [asset_securable(platform, asset) for asset in row.spec["assets"]]
        may = access is not None and all(
            access.allows(right, place) for place in places for right in (READ_ASSET, _MATERIALIZE)
        )
        why = f"Its publisher {row.published_by} can no longer materialize its assets. A user who can may publish it."
        now = None if may else why
        if now != row.blocked:
            yield PipelineChange(row.id, row.project, row.published_by, row.published_at, row.blocked, now)


def apply(platform: Platform, connection: Connection, change: PipelineChange) -> Event | None:
    """Blocks or unblocks a pipeline. Returns the event, or None if it was published again meanwhile."""
    same = TABLE.c.id == change.id, TABLE.c.published_at == change.published_at
    if not connection.execute(TABLE.update().where(*same).values(blocked=change.now)).rowcount:
        return None
    place = platform.part(Projects).of(change.project)
    return Event(
        f"ai_catalog.pipeline.{'blocked' if change.now else 'unblocked'}",
        change.id,
        "headwater",
        {"published_by": change.published_by},
        organization_id=place.organization_id,
        project_id=place.project_id,
    )
