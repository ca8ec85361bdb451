"""The doors to what other systems report about a table."""

from __future__ import annotations

from tests.api.admin.tenants import made
from tests.api.ai_catalog.doors.door import MAIL, Ask, asking, door, mounted
from tests.api.ai_catalog.policies import PEOPLE, Office
from tests.lineage_events import RUN, dataset, event, facet, version


async def _events(office: Office) -> None:
    """Events of another system that wrote the table: statistics of a column, and an error with a value."""
    metrics = facet("DataQualityMetrics", columnMetrics={"mail": {"max": MAIL.decode(), "min": 4242}})
    named = dataset("file", office.tables.uri(PEOPLE), dataQualityMetrics=metrics, **version("1"))
    named["outputFacets"] = {"dataQualityMetrics": metrics, "outputStatistics": facet("Statistics", rowCount=4)}
    message = facet("ErrorMessage", message=f"wrong: {MAIL.decode()}", programmingLanguage="JAVA")
    run = {"runId": RUN, "facets": {"errorMessage": message}}
    first = event("START", run=run, outputs=[named])
    last = event("FAIL", 9, run=run)
    for one in (first, last):
        await made(office.api.admin.post("ai-catalog/lineage-events", {"event": one, "project_id": "flights"}))
    (known,) = (await made(office.api.admin.get("ai-catalog/external-datasets")))["items"]
    assert known["asset"] == PEOPLE, "the event is about the table"


def _of_events(name: str, path: str) -> None:
    @door(name, applies=True)
    async def prepare(office: Office) -> Ask:
        await _events(office)
        if "{run}" in path:
            (run,) = (await made(office.api.admin.get("ai-catalog/external-runs")))["items"]
            return asking("GET", path.replace("{run}", run["id"]))
        return mounted("GET", path) if path.startswith("/") else asking("GET", path)


_of_events("lineage events", "ai-catalog/lineage-events")
_of_events("external data sets", "ai-catalog/external-datasets")
_of_events("external runs", "ai-catalog/external-runs")
_of_events("data sets of an external run", "ai-catalog/external-runs/{run}/datasets")
_of_events("events in Marquez", "/marquez/api/v1/events/lineage")
_of_events("data sets in Marquez", f"/marquez/api/v1/namespaces/headwater/datasets/{PEOPLE}")
_of_events("runs in Marquez", f"/marquez/api/v1/jobs/runs/{RUN}")
