"""The port that publishes definitions. `api.gateways.publishing` implements it over Dagster, a fake in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.ports import AssetNode


@dataclass(frozen=True, slots=True)
class Candidate:
    """A definition to validate before it's published."""

    asset_id: str
    component: str
    attributes: Mapping[str, Any]

    revision: int = 1
    """The revision of the definition that has these attributes."""


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """A request of a principal to publish a definition."""

    asset_id: str
    principal: str
    """Name of the principal."""

    principal_id: str
    request_id: str
    readable: Callable[[str], bool]
    """Returns whether the principal may read the rows of an asset. They can only publish what reads such assets."""

    revision: int | None = None
    """The revision of the definition that the principal saw. Another one is refused. None accepts any revision."""


@dataclass(frozen=True, slots=True)
class RetireRequest:
    """A request of a principal to retire a definition."""

    asset_id: str
    principal: str
    """Name of the principal."""

    request_id: str
    visible: Callable[[str], bool]
    """Returns whether the principal may know of an asset or automation."""


@dataclass(frozen=True, slots=True)
class DeclaredComponent:
    """A component that a definition can name."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """JSON Schema of its attributes."""


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The result of validating a definition."""

    errors: Sequence[Mapping[str, Any]]
    """Errors as `{"pointer": "/attributes/sql", "detail": "..."}`; empty if the definition can be published."""

    changes: Sequence[Mapping[str, Any]] = ()
    """Changes that the next run makes to columns of existing tables: `{"pointer", "detail", "table", "column",
    "effect"}`."""

    not_checked: Sequence[Mapping[str, Any]] = ()
    """Attributes that could not be compared with what exists: `{"pointer", "reason"}`. A run may still fail on them."""

    reads: Sequence[str] = ()
    """Ids of the assets that the definition reads; empty if it has errors."""

    code_versions: Mapping[str, str] = field(default_factory=dict)
    """Code version by asset that the definition produces; empty if it has errors."""


class Publisher(Protocol):
    """Turns definition rows into live assets, or reports why it can't, without affecting other assets."""

    async def validate(self, candidate: Candidate, *, readable: Callable[[str], bool]) -> ValidationReport:
        """Builds the candidate together with all published definitions, isolated from the running platform.

        Args:
            candidate: the definition.
            readable: returns whether the caller may read the rows of an asset.

        Raises:
            Unavailable: the validation process failed.
        """

    async def components(self) -> Sequence[DeclaredComponent]:
        """Returns the components that definitions can name.

        Raises:
            Unavailable: the process that knows them failed.
        """

    async def selected(self, selection: str, among: Sequence[AssetNode]) -> list[str]:
        """Returns the ids of the assets that a selection in Dagster's language selects among these.

        Raises:
            InvalidArgument: the text is no selection.
            Unavailable: the process that evaluates it failed.
        """

    async def publish(self, request: PublishRequest) -> None:
        """Publishes the definition row. Returns once the orchestrator shows the asset.

        Raises:
            NotFound: the definition does not exist.
            InvalidPayload: the definition can't be an asset; the published state is unchanged.
            Conflict: another definition has its assets, or another publication takes too long.
            Unavailable: the orchestrator doesn't respond; the published state is unchanged.
        """

    async def retire(self, request: RetireRequest) -> None:
        """Retires the definition. Returns once the orchestrator shows that nothing produces its assets.

        Raises:
            NotFound: the definition does not exist.
            Conflict: the definition isn't live, or another publication takes too long.
            StillInUse: a live asset or automation depends on one of its assets.
            Unavailable: the orchestrator doesn't respond or can't build the assets; the published state is unchanged.
        """

    async def reinstate(self, request: PublishRequest, *, edited: bool) -> None:
        """Publishes a retired definition as it was published, or the draft if `edited`. Raises like `publish`."""

    async def reconcile(self) -> None:
        """Synchronizes the orchestrator with the rows.

        Raises:
            Unavailable: the orchestrator doesn't respond.
        """
