"""The rows of published definitions in the metadata database. All methods block, so call them in worker threads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from api.gateways import retiring
from api.gateways.published_location import LOCATION
from core import publications, state_versions
from core.db import Database
from core.definitions import published_definitions
from core.ports import AssetNode, GraphView
from core.publisher import Candidate, PublishRequest, RetireRequest


class PublicationRows:
    """Reads and changes rows of definitions, each method in one transaction.

    Args:
        database: the metadata database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def candidate(self, request: PublishRequest, reinstates: bool, edited: bool) -> Candidate:
        """Returns the definition to publish. See `publications.candidate_of`."""
        with self._database.read() as connection:
            return publications.candidate_of(
                connection, request.asset_id, reinstates=reinstates, edited=edited, revision=request.revision
            )

    def validation_request(self, candidate: Candidate) -> dict[str, Any]:
        """Returns the request of the subprocess job `validate`, with all published definitions."""
        with self._database.read() as connection:
            live = [item for item in published_definitions(connection) if item.asset_id != candidate.asset_id]
        rows = [
            {
                "asset_id": item.asset_id,
                "component": item.component,
                "attributes": dict(item.attributes),
                **({"retired": True, "assets": item.assets} if item.retired else {}),
            }
            for item in live
        ]
        row = {
            "asset_id": candidate.asset_id,
            "component": candidate.component,
            "attributes": dict(candidate.attributes),
        }
        return {"candidate": candidate.asset_id, "rows": [*rows, row]}

    def activate(
        self,
        candidate: Candidate,
        verdict: Mapping[str, Any],
        request: PublishRequest,
        nodes: Collection[AssetNode],
        reinstates: bool,
    ) -> publications.PreviousState:
        """Makes a validated candidate live.

        Args:
            candidate: the definition.
            verdict: the answer of the subprocess job `validate`.
            request: the request of the principal.
            nodes: all assets of the graph.
            reinstates: whether the definition is retired.
        """
        with self._database.write() as connection:
            return publications.activate(
                connection,
                candidate,
                assets=verdict["assets"],
                reads=verdict["reads"],
                code_assets={node.id: node.location for node in nodes if node.location != LOCATION},
                principal=request.principal,
                principal_id=request.principal_id,
                code_versions=verdict["code_versions"],
                reinstates=reinstates,
            )

    def retire(self, request: RetireRequest, view: GraphView) -> publications.PreviousState:
        """Retires a definition. See `retiring.retire`."""
        with self._database.write() as connection:
            return retiring.retire(
                connection, view, request.asset_id, principal=request.principal, visible=request.visible
            )

    def restore(self, before: publications.PreviousState) -> None:
        """Restores the row of a definition as it was before a change."""
        with self._database.write() as connection:
            publications.restore(connection, before)

    def last_verified(self, project: str) -> state_versions.StateVersion | None:
        """Returns the last state version of a project that Dagster loaded."""
        with self._database.read() as connection:
            return state_versions.last_verified(connection, project)

    def record_verified(self, project: str, version: str, digest: str) -> None:
        """Records that Dagster loaded a state version that was written from the rows with this digest."""
        with self._database.write() as connection:
            state_versions.record_verified(connection, project, version, digest)

    def digest(self, project: str) -> str:
        """Returns the digest of the published rows of a project."""
        with self._database.read() as connection:
            return state_versions.digest(connection, project)

    def unverified_projects(self) -> list[str]:
        """Returns the projects whose rows differ from the last state version that Dagster loaded."""
        with self._database.read() as connection:
            return [
                project
                for project in state_versions.projects(connection)
                if (verified := state_versions.last_verified(connection, project)) is None
                or verified.digest != state_versions.digest(connection, project)
            ]
