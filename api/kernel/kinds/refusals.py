"""Refusals whose text must not depend on why something is refused: a difference would disclose what exists."""

from __future__ import annotations

from core.errors import Conflict, PermissionDenied


def denied(permission: str) -> PermissionDenied:
    """Returns the error for a caller that lacks a permission."""
    return PermissionDenied(f"This needs the permission {permission}, which you do not hold here.")


def unusable_name(name: str) -> Conflict:
    """Returns the error for a name that is unique across organizations and is taken or reserved."""
    return Conflict(f"The name {name!r} cannot be used here: it is taken or reserved. Choose another name.")
