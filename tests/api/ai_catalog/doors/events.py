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


def _of_events(name: str, of: str, path: str) -> None:
    @door(name, of, applies=True)
    async def prepare(office: Office) -> Ask:
        await _events(office)
        for kind in ("lineage-events", "external-datasets", "external-runs"):
            if f"{{{kind}}}" in path:
                one = (await made(office.api.admin.get(f"ai-catalog/{kind}")))["items"][-1]
                return asking("GET", path.replace(f"{{{kind}}}", one["id"]))
        return mounted("GET", path) if path.startswith("/") else asking("GET", path)


_of_events("lineage events", "ai_catalog_list_lineage_events", "ai-catalog/lineage-events")
_of_events("external data sets", "ai_catalog_list_external_datasets", "ai-catalog/external-datasets")
_of_events("external runs", "ai_catalog_list_external_runs", "ai-catalog/external-runs")
_of_events(
    "data sets of an external run",
    "ai_catalog_get_external_run_datasets",
    "ai-catalog/external-runs/{external-runs}/datasets",
)
_of_events("lineage event", "ai_catalog_get_lineage_event", "ai-catalog/lineage-events/{lineage-events}")
_of_events("external data set", "ai_catalog_get_external_dataset", "ai-catalog/external-datasets/{external-datasets}")
_of_events("external run", "ai_catalog_get_external_run", "ai-catalog/external-runs/{external-runs}")
_of_events("events in Marquez", "/marquez", "/marquez/api/v1/events/lineage")
_of_events("data sets in Marquez", "/marquez", f"/marquez/api/v1/namespaces/headwater/datasets/{PEOPLE}")
_of_events("runs in Marquez", "/marquez", f"/marquez/api/v1/jobs/runs/{RUN}")
