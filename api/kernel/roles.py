"""The built-in roles, each including the one before."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """`VIEWER` reads, `EDITOR` also changes data and automation, `ADMIN` also manages people and tokens."""

    VIEWER = "VIEWER"
    EDITOR = "EDITOR"
    ADMIN = "ADMIN"

    def includes(self, other: Role) -> bool:
        """Whether this role may do everything `other` may."""
        return _RANK[self] >= _RANK[other]


_RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.ADMIN: 2}
