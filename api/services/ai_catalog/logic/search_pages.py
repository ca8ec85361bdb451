"""Pages of search results: their tokens, and the names of projects on them."""

from __future__ import annotations

import base64
import hashlib
import json

from api.kernel.permissions.access import Access
from api.kernel.permissions.projects import PROJECT, Projects
from api.kernel.platform import Platform
from api.kernel.search.document import project_of
from core.errors import InvalidArgument


class ProjectNames:
    """The names of projects that a caller can see."""

    def __init__(self, platform: Platform, access: Access) -> None:
        self._projects = platform.part(Projects)
        self._places = self._projects.by_id()
        self._access = access

    def of(self, scope: str) -> str:
        """Returns the name of the project of a scope. Its id if the caller can't see it, empty if it is none."""
        if (asset_project := project_of(scope)) is not None:
            return asset_project  # the ids of assets contain it
        place = self._places.get(scope)
        if place is None:
            return ""
        seen = self._access.allows(f"{PROJECT}.get", place)
        return (self._projects.name_of(scope) if seen else None) or scope


def page_token(parameters: str, offset: int) -> str:
    """Returns the token of the page that starts after so many items of a search with these parameters."""
    return base64.urlsafe_b64encode(json.dumps([_digest(parameters), offset]).encode()).decode()


def page_offset(token: str, parameters: str, maximum: int) -> int:
    """Returns how many items are on the pages before the one with this token; 0 for the first page.

    Raises:
        InvalidArgument: the token is not one of a search with these parameters.
    """
    if not token:
        return 0
    try:
        digest, offset = json.loads(base64.b64decode(token, b"-_", validate=True))
        if digest != _digest(parameters) or not isinstance(offset, int) or not 0 < offset < maximum:
            raise TypeError
        if page_token(parameters, offset) != token:  # tokens have one spelling
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise InvalidArgument(
            "page_token is not valid for this search. Send next_page_token of the previous page, with the same "
            "parameters."
        ) from None
    return offset


def _digest(parameters: str) -> str:
    return hashlib.sha256(parameters.encode()).hexdigest()[:12]
