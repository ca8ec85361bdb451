"""Where a connection is used: the definitions that read through it."""

from __future__ import annotations

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import asset_securable
from api.kernel.permissions.projects import Projects
from api.services.connections.kinds.connection import CONNECTION, Connection
from core import publications
from core.connection_sources import connection_source
from core.errors import StillInUse

_DEFINITION = "ai_catalog.definition"


class ConnectionUsers(Model):
    """What reads through a connection."""

    definitions: list[str]
    """Ids of the published definitions, which are those of their assets, of those that the caller can see."""

    hidden: int
    """Number of further definitions that the caller can't see."""


@CONNECTION.view("where-used", query=Query, result=ConnectionUsers)
def get_connection_users(unit: Unit, connection: Connection, query: Query) -> ConnectionUsers:
    """Lists the published definitions that read through a connection, so that you know what a change breaks."""
    return _users(unit, connection, [connection.id, connection.name])


@CONNECTION.before("delete")
def refuse_deletion(unit: Unit, connection: Connection) -> None:
    """Refuses to delete a connection that a published definition reads through."""
    _refuse(_users(unit, connection, [connection.id, connection.name]), f"{connection.name} is still used")


@CONNECTION.validate
def refuse_rename(unit: Unit, connection: Connection, before: Connection | None) -> None:
    """Refuses another name while a published definition names the connection by the present one."""
    if before is not None and before.name != connection.name:
        _refuse(_users(unit, before, [before.name]), f"{before.name} is still used by this name")


def _users(unit: Unit, connection: Connection, references: list[str]) -> ConnectionUsers:
    project = unit.platform.part(Projects).name_of(str(connection.project_id)) or ""
    names = {connection_source(project, reference) for reference in references}
    readers = sorted(publications.readers(unit.connection, names))
    visible = [
        id for id in readers if unit.allows(f"{_DEFINITION}.get", asset_securable(unit.platform, id, _DEFINITION))
    ]
    return ConnectionUsers(definitions=visible, hidden=len(readers) - len(visible))


def _refuse(users: ConnectionUsers, fault: str) -> None:
    named = ", ".join(users.definitions)
    if users.definitions or users.hidden:
        others = f"{' and ' if named else ''}{users.hidden} that you can't see" if users.hidden else ""
        raise StillInUse(f"{fault} by the definitions {named}{others}. Change or retire them first.")
