"""The right to read the rows of what a connection leads to, which a definition that reads through it discloses."""

from __future__ import annotations

from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import CONNECTION, READ_THROUGH, item_node
from api.kernel.permissions.projects import Projects
from api.kernel.platform import Platform
from api.kernel.storage import store


def may_read_through(platform: Platform, access: Access, name: str) -> bool:
    """Returns whether an access allows to read rows through a connection.

    Runs in a worker thread.

    Args:
        platform: what the process shares.
        access: the rights.
        name: name of the connection, as `core.connection_sources.connection_source` returns it.
    """
    node = item_node(name)
    project = platform.part(Projects).of(node.project) if node else None
    if node is None or project is None or project.project_id is None:
        return False
    with platform.database.read() as connection:
        row = store.find(connection, CONNECTION, node.id, within=project.project_id)
    if row is None or row.deleted_at is not None or row.project_id != project.project_id:
        return False
    return access.allows(READ_THROUGH, row.securable, row)
