"""Preferences: each user has their own, which no other user reads."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from api.services.admin.preference_tables import PREFERENCES
from tests.api.admin.tenants import made
from tests.api.both_databases import on_both
from tests.api_process import Api

OWN = "/api/v1/admin/preferences/current"
FILTER = {"name": "Mine", "list": "admin/users", "filter": 'owner == "ada"', "order_by": "name", "columns": ["name"]}


@on_both
async def test_each_caller_changes_their_own_and_others_keep_theirs(api: Api) -> None:
    first = await made(api.viewer.get(OWN))
    assert (first["theme"], first["saved_filters"], first["time_zone"]) == ("SYSTEM", [], None)
    body: dict[str, Any] = {"theme": "DARK", "time_zone": "Europe/Berlin", "saved_filters": [FILTER]}
    body |= {"columns": {"admin/users": ["id"]}}
    changed = await made(api.viewer("PATCH", OWN, json=body))
    assert {name: changed[name] for name in body} == body
    assert await made(api.viewer.get(OWN)) == changed
    assert await made(api.admin.get(OWN)) == first
    again = await made(api.viewer("PATCH", OWN, json={"density": "COMPACT", "theme": None}))
    assert (again["theme"], again["density"], again["saved_filters"]) == ("SYSTEM", "COMPACT", [FILTER])


@on_both
@pytest.mark.effect("admin_reset_preferences")
async def test_a_reset_removes_what_was_saved(api: Api) -> None:
    first = await made(api.viewer.get(OWN))
    await made(api.viewer("PATCH", OWN, json={"theme": "DARK", "favorites": [{"path": "/runs", "title": "Runs"}]}))
    assert await made(api.viewer.post(f"{OWN}:reset", {})) == first == await made(api.viewer.get(OWN))
    with api.database.read() as connection:
        assert connection.execute(sa.select(PREFERENCES)).all() == []


async def test_a_change_of_another_window_is_not_overwritten(api: Api) -> None:
    etag = (await api.viewer.get(OWN)).response.headers["etag"]
    await made(api.viewer("PATCH", OWN, json={"saved_filters": [FILTER]}, headers={"if-match": etag}))
    late = await api.viewer("PATCH", OWN, json={"saved_filters": []}, headers={"if-match": etag})
    assert late.status == 412
    assert (await made(api.viewer.get(OWN)))["saved_filters"] == [FILTER]


async def test_the_audit_log_names_what_changed_and_not_how(api: Api) -> None:
    await made(api.viewer("PATCH", OWN, json={"favorites": [{"path": "/query", "title": "private"}]}))
    event = api.events("admin.preferences.updated")[0]
    assert event["data"]["changed"] == ["favorites"]
    assert "private" not in str(event)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"theme": "PINK"},
        {"time_zone": "Mars/Base"},
        {"favorites": [{"path": "//elsewhere.example.org", "title": "x"}]},
        {"favorites": [{"path": "https://elsewhere.example.org", "title": "x"}]},
        {"favorites": [{"path": "javascript:alert(1)", "title": "x"}]},
        {"saved_filters": [{**FILTER, "list": "users"}]},
        {"anything": 1},
    ],
)
async def test_values_that_make_no_sense_are_refused(api: Api, body: dict[str, Any]) -> None:
    assert (await api.viewer("PATCH", OWN, json=body)).status == 422


async def test_no_other_id_has_preferences(api: Api) -> None:
    for caller in (api.viewer, api.admin):
        assert (await caller.get("admin/preferences/usr_admin")).status == 404
    assert (await api.anonymous.get(OWN)).status == 401
