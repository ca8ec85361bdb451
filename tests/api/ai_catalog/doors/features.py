"""The doors to the features of a table: in the past, now, and what is computed from them."""

from __future__ import annotations

from typing import Any

from api.services.ai_catalog.logic.feature_views import open_online_store
from api.services.ai_catalog.logic.served_values import ServedValues
from core import clock
from features.online import serving
from features.rows import ViewColumns, microseconds, read_rows
from tests.api.admin.tenants import made
from tests.api.ai_catalog.doors.door import HIDDEN, Ask, asking, door, mounted
from tests.api.ai_catalog.policies import ONLINE, PEOPLE, Office


async def people_service(office: Office, features: tuple[str, ...] = ("mail", "region", "visits"), **view: Any) -> str:
    """A feature view over the table, served online with these features. Returns the service of it."""
    place, admin = {"project_id": "flights"}, office.api.admin
    entity = {"title": "Person", "keys": [{"name": "person", "type": "INTEGER"}]}
    await made(admin.post("ai-catalog/entities", {"name": "person", "spec": entity, **place}))
    spec = {"entity_id": "person", "asset": PEOPLE, "online_asset": ONLINE, "keys": {"person": "id"}}
    spec |= {"title": "People", "timestamp": "seen_at", **view}
    await made(admin.post("ai-catalog/feature-views", {"name": "people", "spec": spec, **place}))
    snapshot = office.tables.snapshot(PEOPLE)
    served = serving(
        read_rows(snapshot, ViewColumns(("id",), "seen_at", features)),
        table=PEOPLE,
        table_id=snapshot.table_id,
        table_version=snapshot.version,
        as_of=microseconds(clock.now()),
    )
    assert office.api.app.platform.part(open_online_store).write(ONLINE, served.served, served.batches)
    spec = {"title": "Churn", "views": [{"view_id": "people"}]}
    return str((await made(admin.post("ai-catalog/feature-services", {"name": "churn", "spec": spec, **place})))["id"])


AT = {"at": ["2026-04-01T00:00:00Z"]}


@door("features of a view at a time", "ai_catalog_preview_feature_view", applies=True)
async def view_preview(office: Office) -> Ask:
    await people_service(office)
    return asking("POST", "ai-catalog/feature-views/people:preview", {"entities": [{"person": 1}], **AT})


@door("statistics of features", "ai_catalog_get_feature_view_statistics", HIDDEN, applies=True)
async def statistics(office: Office) -> Ask:
    await people_service(office)
    return asking("GET", "ai-catalog/feature-views/people/statistics")


VISITS = {"masks": [{"column": "visits", "method": "NULL"}]}
PRESENT = b'"missing_after":0.0'


@door("drift of features", "ai_catalog_get_feature_view_drift", PRESENT, applies=True, hides=VISITS)
async def drift(office: Office) -> Ask:
    await people_service(office)
    return asking("GET", "ai-catalog/feature-views/people/drift?before=0&after=1&features=visits")


@door("drift of served features", "ai_catalog_get_feature_view_served_drift", b"visits")
async def served_drift(office: Office) -> Ask:
    path = f"ai-catalog/feature-services/{await people_service(office, served_sample=1.0)}:online-get"
    await made(office.api.admin.post(path, {"entities": [{"person": 1}]}))
    assert office.api.app.platform.part(ServedValues).flush() == 1
    return asking("GET", "ai-catalog/feature-views/people/served-drift?features=visits")


@door("skew of features", "ai_catalog_get_feature_service_skew", b"visits")
async def skew(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/feature-services/{await people_service(office)}/skew")


@door("features now", "ai_catalog_online_get_feature_service", applies=True)
async def online(office: Office) -> Ask:
    path = f"ai-catalog/feature-services/{await people_service(office)}:online-get"
    return asking("POST", path, {"entities": [{"person": 1}]})


@door("pushed features", "ai_catalog_online_get_feature_service", b"secret-mail-new", applies=True)
async def pushed(office: Office) -> Ask:
    path = f"ai-catalog/feature-services/{await people_service(office)}:online-get"
    row = {"person": 1, "seen_at": "2026-03-02T00:00:00Z", "mail": "secret-mail-new", "visits": 2.0}
    await made(office.api.admin.post("ai-catalog/feature-views/people:push", {"rows": [row], "source": "clicks"}))
    return asking("POST", path, {"entities": [{"person": 1}]})


@door("features in the past", "ai_catalog_historical_feature_service", applies=True)
async def historical(office: Office) -> Ask:
    path = f"ai-catalog/feature-services/{await people_service(office)}:historical"
    return asking("POST", path, {"entities": [{"person": 1}], **AT})


@door("features for Feast", "/feast", applies=True)
async def feast(office: Office) -> Ask:
    await people_service(office)
    body = {"features": ["people:mail"], "entities": {"person": [1]}}
    return mounted("POST", "/feast/flights/get-online-features", json=body)
