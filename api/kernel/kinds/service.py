"""A service: a named set of kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.slots import filter_references
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.sagas.saga import Saga


class Service:
    """A service of the platform. `name` is in snake_case. Its URLs contain the name in kebab-case."""

    def __init__(
        self, name: str, title: str, kinds: Sequence[Kind], *, description: str = "", sagas: Sequence[Saga[Any]] = ()
    ) -> None:
        self.name = name
        self.title = title
        self.description = description
        self.kinds = tuple(kinds)
        self.sagas = tuple(sagas)
        self.endpoints: tuple[Endpoint, ...] = tuple(
            sorted(
                (endpoint for kind in kinds for endpoint in kind.endpoints(name)),
                key=lambda endpoint: (endpoint.path, endpoint.method),
            )
        )

        nouns = {kind.name: kind.full_name for kind in kinds if isinstance(kind, StoredKind)}
        for kind in kinds:
            kind.filter_references = filter_references(kind.filter_by, nouns)

    @property
    def slug(self) -> str:
        """The name in URLs."""
        return self.name.replace("_", "-")

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {len(self.endpoints)} operations)"
