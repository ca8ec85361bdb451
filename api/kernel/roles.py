"""The built-in roles. Each role includes the one before it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A built-in role.

    `VIEWER` reads, `EDITOR` also changes data and automation, `ADMIN` also manages users and tokens.
    """

    VIEWER = "VIEWER"
    EDITOR = "EDITOR"
    ADMIN = "ADMIN"

    def includes(self, other: Role) -> bool:
        """Returns whether this role has all permissions of `other`."""
        return _RANK[self] >= _RANK[other]


_RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.ADMIN: 2}
