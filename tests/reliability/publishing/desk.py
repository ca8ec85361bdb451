"""What tests of publications work with: the processes, the rows, and the publisher."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import pytest
import sqlalchemy as sa

from api.gateways.dagster.client import DagsterClient
from api.gateways.dagster.orchestrator import DagsterOrchestrator
from api.gateways.publishing import DefinitionPublisher
from core import clock
from core.db import METADATA, Database
from core.definitions import DEFINITION, ERROR_TAG, RETIRED_TAG
from core.publisher import Candidate, PublishRequest, RetireRequest
from lakehouse.tables import Tables
from tests.dagster_processes import DagsterProcesses

INPUT = "flights.silver.flights"
ANN = {"principal": "ann", "principal_id": "usr_ann"}
"""Who publishes."""

SQL = f"SELECT origin, count(*) AS flights FROM {INPUT} GROUP BY origin"


def every_asset(asset: str) -> bool:
    """What an admin may read."""
    return True


class Desk:
    """What the tests work with: the processes, the rows, and the publisher."""

    def __init__(self, platform: DagsterProcesses) -> None:
        self.platform = platform
        self.database = Database(platform.settings.effective_database_url)
        with self.database.write() as connection:  # Dagster's processes write to it too
            METADATA.create_all(connection)

    def write(self, asset: str, **attributes: Any) -> str:
        """Creates or edits a definition row."""
        content = {"asset": asset, "description": "A test table.", "sql": SQL, **attributes}
        now = clock.now()
        with self.database.write() as connection:
            connection.execute(
                DEFINITION.delete().where(DEFINITION.c.asset_id == asset, DEFINITION.c.published_at.is_(None))
            )
            if connection.execute(sa.select(DEFINITION).where(DEFINITION.c.asset_id == asset)).first():
                connection.execute(DEFINITION.update().where(DEFINITION.c.asset_id == asset).values(attributes=content))
            else:
                connection.execute(
                    DEFINITION.insert().values(
                        asset_id=asset,
                        project=asset.partition(".")[0],
                        component="SqlTransformComponent",
                        attributes=content,
                        revision=1,
                        created_at=now,
                        created_by="ann",
                        updated_at=now,
                    )
                )
        return asset

    def with_publisher(self, act: Any) -> Any:
        """Runs `await act(publisher, orchestrator)` as the API does: one event loop, one client."""

        async def run() -> Any:
            client = DagsterClient.from_settings(self.platform.settings)
            orchestrator = DagsterOrchestrator(client)
            await orchestrator.start()
            try:
                await orchestrator.refresh()
                environment = self.platform.environment
                return await act(DefinitionPublisher(client, orchestrator, self.database, environment), orchestrator)
            finally:
                await orchestrator.stop()

        return asyncio.run(run())

    def publish(self, asset: str) -> float:
        """Publishes and returns how long that took, in seconds."""

        async def act(publisher: DefinitionPublisher, orchestrator: DagsterOrchestrator) -> float:
            started = time.monotonic()
            await publisher.publish(PublishRequest(asset, **ANN, request_id="req_1", readable=every_asset))
            assert orchestrator.view().nodes[asset].location == "published"
            return time.monotonic() - started

        seconds: float = self.with_publisher(act)
        return seconds

    def retire(self, asset: str) -> None:
        """Retires a definition, as a user who sees everything."""

        async def act(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> None:
            await publisher.retire(RetireRequest(asset, "ann", "req_1", every_asset))

        self.with_publisher(act)

    def reinstate(self, asset: str, *, edited: bool = False) -> None:
        """Reinstates a definition."""

        async def act(publisher: DefinitionPublisher, orchestrator: DagsterOrchestrator) -> None:
            request = PublishRequest(asset, **ANN, request_id="req_1", readable=every_asset)
            await publisher.reinstate(request, edited=edited)
            assert orchestrator.view().nodes[asset].executable

        self.with_publisher(act)

    def refused(self, asset: str, error: type[Exception]) -> Any:
        """The error of a publication, after which the row must be as it was."""
        before = self.row(asset)
        with pytest.raises(error) as caught:
            self.publish(asset)
        after = self.row(asset)
        assert (after.published_attributes, after.published_at) == (before.published_attributes, before.published_at)
        return caught.value

    def candidate(self, asset: str) -> Candidate:
        """A definition as it was edited last."""
        row = self.row(asset)
        return Candidate(asset, row.component, row.attributes)

    def row(self, asset: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(sa.select(DEFINITION).where(DEFINITION.c.asset_id == asset)).one()

    def visible_assets(self) -> dict[str, dict[str, str]]:
        """Assets that Dagster's UI shows in the published location, with their tags."""
        query = """{repositoriesOrError{... on RepositoryConnection{nodes{location{name}
            assetNodes{assetKey{path} isExecutable tags{key value}}}}}}"""
        nodes = self.platform.graphql(query)["repositoriesOrError"]["nodes"]
        found = [node for entry in nodes if entry["location"]["name"] == "published" for node in entry["assetNodes"]]
        return {
            ".".join(node["assetKey"]["path"]): {tag["key"]: tag["value"] for tag in node["tags"]}
            for node in found
            if node["isExecutable"] or {tag["key"] for tag in node["tags"]} & {ERROR_TAG, RETIRED_TAG}
        }

    def state(self, **request: Any) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "dagster_project.state"],
            input=json.dumps(request),
            env=self.platform.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def reload(self) -> None:
        query = """mutation($n:String!){reloadRepositoryLocation(repositoryLocationName:$n){
            ... on WorkspaceLocationEntry{locationOrLoadError{__typename ... on PythonError{message}}}}}"""
        self.platform.graphql(query, n="published")

    @property
    def tables(self) -> Tables:
        """The lakehouse of the processes."""
        return Tables.from_settings(self.platform.settings, self.database)

    def shown_as(self, asset: str) -> str:
        """What Dagster's UI shows of an asset of the published location: LIVE, RETIRED, BROKEN, or GONE."""
        tags = self.visible_assets().get(asset)
        if tags is None:
            return "GONE"
        return "RETIRED" if RETIRED_TAG in tags else "BROKEN" if ERROR_TAG in tags else "LIVE"

    def reconcile(self) -> None:
        """Does what happens at the start of the API."""

        async def act(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> None:
            await publisher.start()
            await asyncio.gather(*publisher._running)

        self.with_publisher(act)
