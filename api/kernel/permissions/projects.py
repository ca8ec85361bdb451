"""The projects by name, in memory. Assets and other items whose id contains a project name are located with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.platform import Platform
from api.kernel.securable import PLATFORM, Securable
from api.kernel.tables import PURGED_PROJECT, RESOURCE

PROJECT = "admin.project"
DEFAULT_ORGANIZATION = "org_default"
"""Id of the organization that always exists. Assets of unregistered projects belong to it."""

FORMER = "former-organization"
"""Replaces the names of principals of the former organization in data that moves with a project."""


class Projects:
    """The projects by name, loaded again whenever rights or projects change.

    A deleted project keeps its name, so that its assets never belong to another project.
    """

    def __init__(
        self,
        platform: Platform | None = None,
        projects: Mapping[str, Securable] | None = None,
        moved: Mapping[str, datetime] | None = None,
    ) -> None:
        self._projects = dict(projects or {})
        self._moved = dict(moved or {})

    def moved_at(self, name: str) -> datetime | None:
        """Returns when the project moved from another organization, or None if it did not."""
        return self._moved.get(name)

    def moves(self) -> list[tuple[str, datetime]]:
        """Returns the names of all projects that moved from another organization, each with the time."""
        return sorted(self._moved.items())

    def of(self, name: str) -> Securable:
        """Returns the project with this name. Unregistered projects belong to the default organization."""
        return self._projects.get(name) or Securable(PROJECT, f"unregistered:{name}", DEFAULT_ORGANIZATION)

    def by_id(self) -> dict[str, Securable]:
        """Returns the registered projects by id."""
        return {place.project_id: place for place in self._projects.values() if place.project_id}

    def name_of(self, id: str) -> str | None:
        """Returns the name of the project with this id, or None if there is none."""
        return next((name for name, place in self._projects.items() if place.project_id == id), None)

    def inside(self, name: str, kind: str, id: str) -> Securable:
        """Returns an item of the project with this name, or of the platform if the name is that of the platform."""
        if name == PLATFORM:
            return Securable(kind, id)
        project = self.of(name)
        return Securable(kind, id, project.organization_id, project.project_id)


def load(connection: Connection) -> Projects:
    """Loads the current projects."""
    rows = connection.execute(
        sa.select(RESOURCE.c.name, RESOURCE.c.id, RESOURCE.c.organization_id)
        .add_columns(RESOURCE.c.status["moved_at"].as_string())
        .where(RESOURCE.c.kind == PROJECT)
        # If several projects had a name, the last row counts: the live project, or the one that was deleted last.
        .order_by(RESOURCE.c.deleted_at.is_(None), RESOURCE.c.deleted_at)
    ).all()
    # What a purged organization left belongs to no organization: only rights on the whole platform reach it.
    purged = connection.execute(sa.select(PURGED_PROJECT.c.name)).scalars()
    projects = {name: Securable(PROJECT, f"purged:{name}") for name in purged}
    return Projects(
        projects=projects | {name: Securable(PROJECT, id, organization, id) for name, id, organization, _ in rows},
        moved={name: datetime.fromisoformat(moved) for name, _, _, moved in rows if moved},
    )
