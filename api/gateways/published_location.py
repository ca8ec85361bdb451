"""The code location of the published definitions in Dagster: its state versions and its loaded assets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any, Protocol

from api.gateways.dagster import mutations, queries
from api.gateways.subprocess_jobs import run_job
from core.definitions import ERROR_TAG, RETIRED_TAG, state_key
from core.ids import asset_key

LOCATION = "published"
_VISIBLE_SECONDS = 45.0
_PAUSE_SECONDS = 0.1


class GraphQl(Protocol):
    """The GraphQL API of Dagster's webserver. `api.gateways.dagster.client.DagsterClient` implements it."""

    async def read(self, document: str, **variables: Any) -> Any:
        """Runs a query and returns its data."""

    async def change(self, document: str, **variables: Any) -> Any:
        """Runs a mutation and returns its data."""


class NotVisible(Exception):
    """Dagster does not have the expected assets. The text is the reason."""


class AssetState(Enum):
    """Expected state of an asset in Dagster."""

    EXECUTABLE = auto()
    RETIRED = auto()


class PublishedLocation:
    """The code location of the published definitions.

    Args:
        graphql: Dagster's webserver.
        environment: all environment variables of child processes.
    """

    def __init__(self, graphql: GraphQl, environment: Mapping[str, str]) -> None:
        self._graphql = graphql
        self._environment = environment

    async def renew(self, project: str) -> str:
        """Writes a state version from the rows of a project, has Dagster load it, and returns the version.

        Raises:
            NotVisible: Dagster cannot build the assets.
            Unavailable: Dagster does not respond.
        """
        version: str = (await run_job("state", {"do": "write", "project": project}, self._environment))["version"]
        await self._load()
        return version

    async def restore(self, project: str, version: str | None) -> None:
        """Has Dagster load an earlier state version of a project, or none. Raises like `renew`."""
        request = {"do": "set", "key": state_key(project), "version": version}
        await run_job("state", request, self._environment)
        await self._load()

    async def verify(
        self, project: str, version: str, asset_id: str | None = None, state: AssetState = AssetState.EXECUTABLE
    ) -> None:
        """Returns when the location has loaded this version and the asset, if one is given, has the expected state.

        Raises:
            NotVisible: the location does not load, or not in time.
        """
        keys = [{"path": asset_key(asset_id)}] if asset_id else []
        async with _attempts(f"{asset_id or project} did not appear in time") as attempts:
            async for _ in attempts:
                answer = await self._graphql.read(queries.PUBLISHED_LOCATION, name=LOCATION, keys=keys)
                if _loaded_version(answer["workspaceLocationEntryOrError"], state_key(project)) != version:
                    continue
                if asset_id is None or any(_has_state(node, state) for node in answer["assetNodes"]):
                    return

    async def _load(self) -> None:
        """Has Dagster build the assets from the latest versions.

        The running code server does this quickly, and keeps its assets if it fails. A location that is already broken
        needs a new server process.
        """
        if await self._is_loaded():
            answer = await run_job("state", {"do": "load"}, self._environment)
            if error := answer.get("error"):
                raise NotVisible(error)
            return
        entry = (await self._graphql.change(mutations.RELOAD_LOCATION, name=LOCATION))["reloadRepositoryLocation"]
        if entry["__typename"] != "WorkspaceLocationEntry":
            raise NotVisible(entry.get("message", entry["__typename"]))

    async def _is_loaded(self) -> bool:
        answer = await self._graphql.read(queries.PUBLISHED_LOCATION, name=LOCATION, keys=[])
        location = answer["workspaceLocationEntryOrError"].get("locationOrLoadError")
        return bool(location and location["__typename"] == "RepositoryLocation")


@asynccontextmanager
async def _attempts(reason: str) -> AsyncIterator[AsyncIterator[None]]:
    """Yields attempts until a timeout.

    Raises:
        NotVisible: the timeout expired, with this reason.
    """

    async def attempts() -> AsyncIterator[None]:
        while True:
            yield
            await asyncio.sleep(_PAUSE_SECONDS)

    try:
        async with asyncio.timeout(_VISIBLE_SECONDS):
            yield attempts()
    except TimeoutError as error:
        raise NotVisible(reason) from error


def _loaded_version(entry: Mapping[str, Any], key: str) -> str | None:
    if entry["__typename"] != "WorkspaceLocationEntry":
        raise NotVisible(entry.get("message", entry["__typename"]))
    location = entry["locationOrLoadError"]
    if location and location["__typename"] == "PythonError":
        raise NotVisible(location["message"])
    info = entry["defsStateInfo"] or {"keyStateInfo": ()}
    return next(
        (item["info"]["version"] for item in info["keyStateInfo"] if item["name"] == key and item["info"]), None
    )


def _has_state(node: Mapping[str, Any], state: AssetState) -> bool:
    if node["repository"]["location"]["name"] != LOCATION:
        return False
    tags = {tag["key"] for tag in node["tags"]}
    if ERROR_TAG in tags:
        raise NotVisible(node["description"])
    return (RETIRED_TAG in tags) == (state is AssetState.RETIRED)
