"""A project with two published assets and a pipeline over them, in the fake orchestrator."""

from __future__ import annotations

from typing import Any

from tests.api.admin.tenants import made
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node

CLEAN, TOTALS, CODE = "flights.gold.clean", "flights.gold.totals", "flights.silver.flights"
PATH, RUNS = "ai-catalog/pipelines", "ai-catalog/pipeline-runs"


def add_assets(orchestrator: FakeOrchestrator) -> None:
    """Adds two published assets. The second one takes a parameter."""
    for item in (node(CLEAN, [CODE], location="published"), node(TOTALS, [CLEAN], location="published")):
        orchestrator.nodes[item.id] = item
    orchestrator.fields[TOTALS] = ("days", "mode")


async def project(api: Api) -> None:
    if (await api.admin.get("admin/projects/flights")).status == 404:
        body = {"name": "flights", "organization_id": "default", "spec": {"title": "Flights"}}
        await made(api.admin.post("admin/projects", body))


async def pipeline(api: Api, name: str = "nightly", **spec: Any) -> dict[str, Any]:
    """Creates a pipeline as the editor."""
    await project(api)
    spec = {"title": "Nightly", "assets": [CLEAN, TOTALS]} | spec
    return await made(api.editor.post(PATH, {"name": name, "project_id": "flights", "spec": spec}))


async def published(api: Api, name: str = "nightly", **spec: Any) -> dict[str, Any]:
    """Creates and publishes a pipeline as the editor."""
    id = (await pipeline(api, name, **spec))["id"]
    return await made(api.editor.post(f"{PATH}/{id}:publish", {}))


async def started(caller: Caller, id: str, **body: Any) -> dict[str, Any]:
    """Runs a pipeline, and returns the operation."""
    answer = await caller.post(f"{PATH}/{id}:run", body)
    assert answer.status == 202, answer.response.text
    return dict(answer.json)
