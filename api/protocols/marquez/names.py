"""Names of datasets and jobs in Marquez: a namespace and a name, and ids of nodes made of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import InvalidArgument

OWN = "headwater"
"""Namespace of the assets of the platform, and of the jobs that make them."""

_MAX_SPLITS = 50


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """The name of a dataset or a job."""

    namespace: str
    name: str

    @property
    def document(self) -> dict[str, str]:
        """The JSON form."""
        return {"namespace": self.namespace, "name": self.name}


def node_id(kind: str, name: Name) -> str:
    """Returns the id of a node: `dataset:<namespace>:<name>` or `job:<namespace>:<name>`."""
    return f"{kind}:{name.namespace}:{name.name}"


def parse_node(text: str, *kinds: str) -> tuple[str, list[str]]:
    """Returns the kind of a node, and the rest of its id without a version.

    Raises:
        InvalidArgument: the id does not begin with one of these kinds.
    """
    kind, _, rest = text.partition(":")
    rest = rest.partition("#")[0]
    if kind not in kinds or rest.count(":") < 1:
        allowed = " or ".join(f"{kind}:<namespace>:<name>" for kind in kinds)
        raise InvalidArgument(f"nodeId must be {allowed}; it is {text[:100]!r}.")
    return kind, rest.split(":")


def candidates(parts: list[str]) -> Iterator[Name]:
    """Returns the names that parts can mean. A namespace such as `postgres://db:5432` contains colons, too."""
    for split in range(1, min(len(parts), _MAX_SPLITS)):
        yield Name(":".join(parts[:split]), ":".join(parts[split:]))
