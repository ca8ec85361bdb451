"""Objects of a store, read in a separate process, one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from connectors.connector import Config, Connector
from connectors.egress import Egress
from connectors.reading import Reader


class Objects(Reader):
    """The objects below a path, and the content of those that are new or have changed."""

    versions: dict[str, str]
    """ETag of each object by its path, in the order of the paths."""

    def __init__(
        self, connector: Connector, config: Config, egress: Egress, path: str, known: Mapping[str, str], limit: int
    ) -> None:
        """Creates the reader.

        Args:
            connector: the type of store.
            config: the store.
            egress: the rules for its address.
            path: path of a folder or an object; empty for the whole store.
            known: ETags by path of the objects whose content isn't needed.
            limit: number of bytes that an object may have.
        """
        asked = {"do": "objects", "path": path, "known": dict(known), "limit": limit}
        super().__init__(connector, config, egress, asked)

    @property
    def version(self) -> str:
        """A digest of all paths and ETags."""
        text = "\n".join(f"{path}\0{tag}" for path, tag in self.versions.items())
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def _begin(self) -> None:
        self.versions = self._line()["objects"]

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of each new or changed object once. Raises as `__enter__`."""
        while "bytes" in (line := self._line()):
            yield line["path"], self._bytes(line["bytes"])
