"""Page tokens of row previews: they hold the exact version, so that all pages show one state of the table."""

from __future__ import annotations

from core.errors import InvalidArgument


def start(token: str, version: str | None, offset: int) -> tuple[str | None, int]:
    """The version and offset a page begins at.

    Raises:
        InvalidArgument: the token is not ours, or comes with an offset or another version.
    """
    if not token:
        return version, offset
    pinned, _, rows = token.rpartition("+")
    if "@" not in pinned or not (rows.isascii() and rows.isdigit()) or len(rows) > 16:
        raise InvalidArgument("page_token is not one that this table gave out.")
    if offset or (version is not None and version not in (pinned, pinned.rpartition("@")[2])):
        raise InvalidArgument("page_token goes on where the page before ended: leave offset and version out.")
    return pinned, int(rows)


def following(version: str, offset: int, row_count: int) -> str | None:
    """The token of the page that begins at this offset; None if there are no more rows."""
    return f"{version}+{offset}" if offset < row_count else None
