"""Shares, schemas, and tables that a recipient has now, by their names."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from starlette.datastructures import QueryParams

from api.kernel.platform import Platform
from api.services.ai_catalog.logic import sharing
from api.services.ai_catalog.logic.sharing import Served
from core.errors import InvalidArgument, NotFound

T = TypeVar("T")
_MAX_PAGE = 500
_MAX_DIGITS = 18


class Catalog:
    """What one recipient has, read in one transaction."""

    def __init__(self, platform: Platform, connection: Connection, recipient_id: str) -> None:
        self._platform, self._connection, self._recipient_id = platform, connection, recipient_id
        self._sharers = sharing.Sharers(platform, connection)

    def shares(self) -> list[Any]:
        """Returns the shares, by name."""
        return sharing.shares_of_recipient(self._connection, self._recipient_id)

    def share(self, name: str) -> Any:
        """Returns the share with this name, in any case.

        Raises:
            NotFound: there is none, or the recipient doesn't have it.
        """
        for share in self.shares():
            if share.name == name.lower():
                return share
        raise NotFound("There is no such share.")

    def tables(self, share: Any) -> list[Any]:
        """Returns the tables of a share that are served, by schema and name."""
        return self._sharers.listed(sharing.objects_of(self._connection, share.id))

    def schemas(self, share: Any) -> list[str]:
        """Returns the names of the schemas of a share."""
        return sorted({table.schema_name for table in self.tables(share)})

    def tables_of_schema(self, share: Any, schema: str) -> list[Any]:
        """Returns the tables of a schema. Raises `NotFound` if there is no such schema."""
        tables = [table for table in self.tables(share) if table.schema_name == schema.lower()]
        if not tables:
            raise NotFound("There is no such schema.")
        return tables

    def table(self, share: str, schema: str, name: str) -> tuple[Any, Served]:
        """Returns a share and a table in it. Raises `NotFound` if the recipient has no such table."""
        found = self.share(share)
        for table in self.tables(found):
            if (table.schema_name, table.table_name) == (schema.lower(), name.lower()):
                return found, self._sharers.served(table)
        raise NotFound("There is no such table.")

    def opened_by(self, share_id: str, object_id: str) -> Served:
        """Returns the table that a link names. Raises `NotFound` if the recipient no longer has it."""
        for share in self.shares():
            if share.id == share_id:
                for table in self.tables(share):
                    if table.id == object_id:
                        return self._sharers.served(table)
        raise NotFound("The table is no longer shared with you.")


def page(items: Sequence[T], query: QueryParams) -> tuple[Sequence[T], str | None]:
    """Returns the page of `maxResults` and `pageToken`, and the token of the next page.

    Raises:
        InvalidArgument: a parameter is not valid.
    """
    size = min(whole(query.get("maxResults"), "maxResults", _MAX_PAGE), _MAX_PAGE)
    start = _start(query.get("pageToken") or "")
    end = start + size
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
    # A page of zero items asks only whether there are any.
    return items[start:end], following if size else None


def whole(text: str | None, name: str, default: int) -> int:
    """Returns a parameter that is a whole number.

    Raises:
        InvalidArgument: it is not one, or too large.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise InvalidArgument(f"{name} must be a whole number of at most {_MAX_DIGITS} digits.")
    return int(text)


def _start(token: str) -> int:
    try:
        return whole(base64.urlsafe_b64decode(token).decode("ascii"), "pageToken", 0) if token else 0
    except ValueError:
        raise InvalidArgument("The pageToken is not one of this server.") from None
