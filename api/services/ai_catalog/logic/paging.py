"""Page tokens of row previews. They contain the exact version, so that all pages show the same version."""

from __future__ import annotations

from core.errors import InvalidArgument


def start(token: str, version: str | None, offset: int) -> tuple[str | None, int]:
    """Returns the version and offset at which a page starts.

    Raises:
        InvalidArgument: The token is invalid, or is sent with an offset or another version.
    """
    if not token:
        return version, offset
    pinned, _, rows = token.rpartition("+")
    if "@" not in pinned or not (rows.isascii() and rows.isdigit()) or len(rows) > 16:
        raise InvalidArgument("page_token is not a token of this table.")
    if offset or (version is not None and version not in (pinned, pinned.rpartition("@")[2])):
        raise InvalidArgument("page_token continues the previous page: leave out offset and version.")
    return pinned, int(rows)


def following(version: str, offset: int, row_count: int) -> str | None:
    """Returns the token of the page that starts at this offset, or None if there are no more rows."""
    return f"{version}+{offset}" if offset < row_count else None
