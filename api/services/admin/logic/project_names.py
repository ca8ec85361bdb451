"""Names of projects. Each belongs to one project permanently, because tables and assets are found by it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.kinds.refusals import unusable_name
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.projects import DEFAULT_ORGANIZATION
from api.kernel.references import ORGANIZATION, PROJECT
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import PURGED_PROJECT, RESOURCE
from core.errors import Conflict

_NAMED: sa.BindParameter[str] = sa.bindparam("named")
_OF_NAME = (RESOURCE.c.kind == PROJECT, RESOURCE.c.name == _NAMED)
_HOLDERS = sa.select(*store.COLUMNS).where(*_OF_NAME).order_by(RESOURCE.c.deleted_at.is_(None).desc(), RESOURCE.c.id)
# Every create of a project runs this statement. Building a statement costs more than running it.
_USED = sa.select(
    sa.or_(
        sa.exists().where(*_OF_NAME),
        sa.exists().where(PURGED_PROJECT.c.name == _NAMED),
    )
)


def require_free(unit: Unit, name: str, organization_id: str) -> None:
    """Checks that a new project of an organization can have this name.

    Names that another tenant has or had, and names whose assets belong to another tenant, get the same message, so that
    it does not disclose the reason.

    Raises:
        Conflict: The name can't be used.
    """
    used = unit.connection.execute(_USED, {"named": name}).scalar()
    if used:
        for holder in map(store.stored, unit.connection.execute(_HOLDERS, {"named": name})):
            if unit.allows(f"{PROJECT}.get", holder.securable, holder):
                raise store.name_taken(holder) if holder.deleted_at is None else _was_used(holder)
    if used or _is_foreign(unit, name, organization_id):
        raise unusable_name(name)


def _was_used(holder: Stored) -> Conflict:
    return Conflict(
        f"The deleted project {holder.id} has the name {holder.name!r}, and its tables still do. "
        "Restore it, or choose another name."
    )


def reserve_names(connection: Connection, organization_id: str) -> None:
    """Reserves the names of an organization's projects, before the rows of the projects are removed."""
    projects = sa.select(RESOURCE.c.name).where(
        RESOURCE.c.kind == PROJECT, RESOURCE.c.organization_id == organization_id
    )
    reserved = sa.select(PURGED_PROJECT.c.name)
    connection.execute(
        PURGED_PROJECT.insert().from_select(["name"], projects.where(RESOURCE.c.name.not_in(reserved)).distinct())
    )


def _is_foreign(unit: Unit, name: str, organization_id: str) -> bool:
    """Returns whether assets have this name. They belong to the default organization until a project gets the name."""
    if organization_id == DEFAULT_ORGANIZATION:
        return False
    default = Securable(ORGANIZATION, DEFAULT_ORGANIZATION, DEFAULT_ORGANIZATION)
    if unit.allows(f"{PROJECT}.create", default):
        return False
    return any(id.partition(".")[0] == name for id in unit.platform.orchestrator.view().nodes)
