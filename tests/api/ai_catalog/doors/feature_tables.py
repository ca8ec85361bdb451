"""The doors to tables that are made of features: training sets that are built, and features that are exported."""

from __future__ import annotations

import asyncio

from tests.api.admin.tenants import made
from tests.api.ai_catalog.doors.door import ARROW, SET, Answer, Ask, asking, door
from tests.api.ai_catalog.doors.features import AT, people_service
from tests.api.ai_catalog.policies import PEOPLE, Office
from tests.api_process import Caller

RETRIEVED = "flights.retrievals.people"
REQUEST = {"name": "people", "rows": {"entities": [{"person": 1}, {"person": 4242}], **AT}}
READ = {"sql": f"SELECT * FROM {RETRIEVED}"}


@door("building of a training set", "ai_catalog_publish_definition", SET.encode(), refusal=(422, "reads"))
async def building(office: Office) -> Ask:
    attributes = {"asset": SET, "sql": "", "reads": [PEOPLE]}
    body = {"component": "TrainingSetComponent", "attributes": attributes}
    await made(office.ada.post("ai-catalog/definitions", body))
    return asking("POST", f"ai-catalog/definitions/{SET}:publish", {})


@door("retrieval of features", "ai_catalog_run_queries")
async def retrieval(office: Office) -> Ask:
    service = await people_service(office)

    async def ask(caller: Caller) -> Answer:
        started = await _retrieved(caller, service)
        return started if started.status >= 400 else await asking("POST", "ai-catalog/queries:run", READ)(caller)

    return ask


@door("export of features that another reader retrieved", "ai_catalog_run_queries", refusal=(403, "permission"))
async def export(office: Office) -> Ask:
    assert (await _retrieved(office.api.admin, await people_service(office))).status == 202
    return asking("POST", "ai-catalog/queries:run", READ, ARROW)


async def _retrieved(caller: Caller, service: str) -> Answer:
    """Retrieves the features, and waits for the table."""
    reply = await caller.post(f"ai-catalog/feature-services/{service}:retrieve", REQUEST)
    if reply.status != 202:
        return Answer(reply.status, reply.response.content, reply.json["detail"])
    while not (operation := (await caller.get(f"operations/{reply.json['id']}")).json)["finished_at"]:
        await asyncio.sleep(0.05)
    assert operation["state"] == "SUCCEEDED", operation
    return Answer(reply.status, reply.response.content)
