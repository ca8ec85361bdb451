"""Storage credentials and external locations: what their connectors do in addition to those of connections."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from connectors.connector import Connector, Failed, Link


class Access(StrEnum):
    """What a vended credential allows."""

    READ = "READ"
    READ_WRITE = "READ_WRITE"


@dataclass(frozen=True, slots=True)
class Vending:
    """What to vend."""

    path: str
    """Path below the location. A folder ends with a slash or is empty; anything else is one object."""
    access: Access
    seconds: int
    """Time after which the store no longer accepts it."""
    session: str
    """How the log of the store names it."""


@dataclass(frozen=True, slots=True)
class Vended:
    """What the owner of a lease gets: temporary keys, or URLs."""

    values: Mapping[str, str]
    """The keys by name, or URLs by HTTP method."""
    key_id: str
    """The part of it that the log of the store shows and that opens nothing. Empty for URLs."""
    expires_at: str
    """Time at which the store stops accepting it, in ISO 8601."""


class Location(Connector):
    """A part of a store, with the credential that reaches it. It never returns that credential."""

    @abstractmethod
    def vend(self, link: Link, vending: Vending) -> Vended:
        """Returns temporary keys that open one path and nothing else.

        Raises:
            Failed: the store has no service for temporary keys, or refused.
        """

    @abstractmethod
    def presign(self, link: Link, vending: Vending) -> Vended:
        """Returns URLs that open one object.

        Raises:
            Failed: the path is a folder.
        """


def require_object(path: str) -> None:
    """Requires that a path is that of one object.

    Raises:
        Failed: it is a folder.
    """
    if not path or path.endswith("/"):
        raise Failed("NOT_AN_OBJECT", "A URL opens one object. Name its path, which does not end with a slash.")
