"""Signed links to the content of artifacts and to the parts of uploads.

A link holds the id of the token that signed it, and is encrypted, so that its holder can neither read nor change it.
Each use checks the token and the rights of its principal again.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Annotated
from urllib.parse import quote

from pydantic import Field

from api.kernel.credentials.sealing import open_sealer
from api.kernel.platform import Platform
from core import clock
from core.errors import HeadwaterError, Unauthenticated

PATH = "/artifact-links"
"""Path of the mount that serves links."""

LinkSeconds = Annotated[int, Field(ge=1, le=86_400)]
"""Life of a link in seconds, up to a day."""

_CONTEXT = "artifact-links"


@dataclass(frozen=True, slots=True)
class FileLink:
    """What a link opens."""

    token_id: str
    """Id of the token that signed it."""

    id: str
    """Id of an artifact to read, or of an upload that takes a part."""

    part: int
    """Number of the part. 0 for an artifact."""

    expires: int
    """Time of expiry in seconds since 1970."""


class FileLinks:
    """The links of the platform."""

    def __init__(self, platform: Platform) -> None:
        self._sealer = platform.part(open_sealer)
        self._base = platform.settings.url.rstrip("/")

    def url(self, link: FileLink, base: str = "") -> str:
        """Returns the URL of a link.

        Args:
            link: the link.
            base: URL of the platform, if the setting `url` is empty.
        """
        return f"{self._base or base}{PATH}?link={quote(self._sealer.seal(json.dumps(astuple(link)), _CONTEXT))}"

    def opened(self, sealed: str) -> FileLink:
        """Returns what a link opens.

        Raises:
            Unauthenticated: it was altered, or has expired.
        """
        try:
            link = FileLink(*json.loads(self._sealer.unseal(sealed, _CONTEXT)))
        except (HeadwaterError, ValueError, TypeError):
            link = None
        if link is None or link.expires <= clock.now().timestamp():
            raise Unauthenticated("The link was altered or has expired. Sign another one.")
        return link
