"""The projects that a client of another protocol can choose from."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.references import PROJECT
from api.kernel.tables import RESOURCE


def projects(unit: Unit) -> list[Any]:
    """Returns id and name of the projects that the caller can see, by name."""
    visible = unit.principal.access.where(f"{PROJECT}.get")
    select = sa.select(RESOURCE.c.id, RESOURCE.c.name).where(
        RESOURCE.c.kind == PROJECT, RESOURCE.c.deleted_at.is_(None), visible
    )
    return list(unit.connection.execute(select.order_by(RESOURCE.c.name)).all())
