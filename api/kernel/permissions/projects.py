"""Which project is where: kept in memory, for what is named after its project, such as assets."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.platform import Platform
from api.kernel.securable import PLATFORM, Securable
from api.kernel.tables import RESOURCE

PROJECT = "admin.project"
DEFAULT_ORGANIZATION = "org_default"
"""Id of the organization that exists from the first start; code whose project nobody registered belongs to it."""


class Projects:
    """The live projects by name. Made anew whenever rights or projects change."""

    def __init__(self, platform: Platform | None = None, places: Mapping[str, Securable] | None = None) -> None:
        self._places = dict(places or {})

    def of(self, name: str) -> Securable:
        """The project with this name; an unregistered one stands directly in the default organization."""
        known = self._places.get(name)
        return known or Securable(PROJECT, f"unregistered:{name}", DEFAULT_ORGANIZATION)

    def inside(self, name: str, kind: str, id: str) -> Securable:
        """Something that belongs to the project with this name; to the platform itself, if it has that name."""
        if name == PLATFORM:
            return Securable(kind, id)
        place = self.of(name)
        return Securable(kind, id, place.organization_id, place.project_id)


def load(connection: Connection) -> Projects:
    """The projects as they are now."""
    rows = connection.execute(
        sa.select(RESOURCE.c.name, RESOURCE.c.id, RESOURCE.c.organization_id).where(
            RESOURCE.c.kind == PROJECT, RESOURCE.c.deleted_at.is_(None)
        )
    )
    return Projects(places={name: Securable(PROJECT, id, organization, id) for name, id, organization in rows})
