"""Names of connections where names of assets are expected: among the inputs of definitions, and in lineage.

A definition that reads through a connection reads `connection:<project>:<id or name>`. A version that was read through
it has the input `connection:<project>:<id>:<part>`, such as a table.
"""

from __future__ import annotations

SCHEME = "connection"
_MAX_LENGTH = 200


def connection_source(project: str, reference: str, part: str = "") -> str:
    """Returns the name of a connection, or of a part of what it leads to."""
    return ":".join((SCHEME, project, reference, *([part] if part else [])))[:_MAX_LENGTH]


def is_connection_source(name: str) -> bool:
    """Returns whether a name is that of a connection. No asset id contains a colon."""
    return name.startswith(f"{SCHEME}:")
