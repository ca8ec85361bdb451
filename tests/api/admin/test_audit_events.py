"""Audit events: everything is found again, by whom it concerns, without secrets; nothing is rewritten unseen."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core import clock
from core.events import EVENT
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller


async def listed(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    """All pages of the list."""
    found: list[dict[str, Any]] = []
    while True:
        page = await made(caller.get("admin/audit-events", params=query))
        found += page["items"]
        if page["next_page_token"] is None:
            return found
        query["page_token"] = page["next_page_token"]


async def exported(caller: Caller, format: str, **query: Any) -> str:
    reply = await caller.get("admin/audit-events:export", params={"format": format, **query})
    assert reply.status == 200, reply.response.text
    return reply.response.text


@on_both
async def test_what_was_done_is_found_newest_first_by_every_field(api: Api) -> None:
    ada = await user(api, "ada")
    given = await grant(api, ada, "rol_viewer", "org_default")
    await api.viewer.post("admin/users", {"name": "bad", "spec": {}})
    everything = await listed(api.admin, page_size=2)
    sequences = [event["sequence"] for event in everything]
    assert sequences == sorted(sequences, reverse=True)
    assert sequences == [row["sequence"] for row in reversed(api.events())]
    for filter, types in {
        f'subject == "{ada}"': {"admin.user.created"},
        'subject == "ada"': {"admin.user.created"},
        f'subject == "{given}"': {"admin.grant.given"},
        'outcome == "denied"': {"admin.user.create_denied"},
        'principal == "viewer" && kind == "admin.user"': {"admin.user.create_denied"},
        'type.startsWith("admin.grant.g")': {"admin.grant.given"},
    }.items():
        assert {event["type"] for event in await listed(api.admin, filter=filter)} == types, filter
    one = (await listed(api.admin, filter=f'subject == "{ada}"'))[0]
    assert await made(api.admin.get(f"admin/audit-events/{one['id']}")) == one
    same = await listed(api.admin, filter=f'request_id == "{one["request_id"]}"')
    assert [event["id"] for event in same] == [one["id"]]
    by_id = f'principal_id == "{one["principal_id"]}"'
    assert one["id"] in {event["id"] for event in await listed(api.admin, filter=by_id)}
    assert (await api.admin.get("admin/audit-events/evt_nothing")).status == 404
    assert (await api.admin.get("admin/audit-events", params={"filter": "nonsense =="})).status == 400
    assert (await api.admin.get("admin/audit-events:export", params={"filter": "nonsense =="})).status == 400
    assert (await api.admin.get("admin/audit-events", params={"order_by": "type"})).status == 400


@on_both
async def test_a_time_range_begins_inside_and_ends_outside(api: Api) -> None:
    await user(api, "ada")
    with api.database.read() as connection:
        at = connection.execute(sa.select(EVENT.c.at).where(EVENT.c.type == "admin.user.created")).scalars().all()[-1]
    for since, until, present in ((0, 1, True), (1, 2, False), (-1, 0, False)):
        window = {
            name: (at + timedelta(microseconds=n)).isoformat() for name, n in (("since", since), ("until", until))
        }
        found = await listed(api.admin, filter='type == "admin.user.created"', **window)
        assert bool(found) is present, window


@on_both
@pytest.mark.effect("admin_export_audit_events", "admin_facets_audit_events")
async def test_a_tenant_reads_his_own_events_only(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    for who in (one, other):
        await made(who.admin.post("admin/users", {"name": f"u{who.organization[-6:].lower()}", "spec": {}}))
    owned = await listed(one.admin, page_size=1000)
    assert owned
    assert {event["organization_id"] for event in owned} == {one.organization}
    text = await exported(one.admin, "ndjson")
    assert [json.loads(line)["id"] for line in text.splitlines()] == [event["id"] for event in reversed(owned)]
    assert other.organization not in text
    theirs = next(event for event in await listed(other.admin))
    assert (await one.admin.get(f"admin/audit-events/{theirs['id']}")).status == 404
    facets = await made(one.admin.get("admin/audit-events:facets"))
    assert facets["total"] == len(owned)
    assert (await one.admin.post("admin/audit-events:verify", {})).status == 403
    assert (await api.editor.get("admin/audit-events")).status == 403
    ada = await user(api, "ada")
    project = (await made(api.admin.post("admin/projects", {"name": "sales", "spec": {"title": "Sales"}})))["id"]
    await grant(api, ada, "admin.audit_event.*", project)
    assert {event["subject"] for event in await listed(api.caller("ada"))} >= {project}
    assert {event["project_id"] for event in await listed(api.caller("ada"))} == {project}


@pytest.mark.effect("admin_export_audit_events")
async def test_exports_hold_everything_and_no_secret(api: Api) -> None:
    ada = await user(api, "ada", password=True)
    await grant(api, ada, "rol_admin", "org_default")
    login = await made(api.anonymous.post("admin/sessions:login", {"name": "ada", "password": PASSWORD}))
    events = api.events()
    lines = [json.loads(line) for line in (await exported(api.admin, "ndjson")).splitlines()]
    assert [line["id"] for line in lines] == [event["id"] for event in events]
    rows = list(csv.DictReader(io.StringIO(await exported(api.admin, "csv"))))
    assert [row["hash"] for row in rows] == [event["hash"] for event in events]
    ocsf = [json.loads(line) for line in (await exported(api.admin, "ocsf")).splitlines()]
    assert [line["metadata"]["uid"] for line in ocsf] == [event["id"] for event in events]
    created = next(line for line in ocsf if line["message"] == "admin.user.created" and line["status_id"] == 1)
    assert (created["class_uid"], created["type_uid"], created["activity_id"]) == (6003, 600301, 1)
    assert created["api"]["operation"] == "admin.user.create"
    assert created["resources"][0]["type"] == "admin.user"
    secrets = [
        PASSWORD,
        str(api.admin.token),
        *(v for v in login.values() if isinstance(v, str) and v.startswith("hw_")),
    ]
    for format in ("ndjson", "csv", "ocsf"):
        text = await exported(api.admin, format)
        assert not [secret for secret in secrets if secret in text]


@on_both
@pytest.mark.effect("admin_facets_audit_events")
async def test_facets_count_what_the_list_lists(api: Api) -> None:
    for name in ("ada", "ben"):
        await user(api, name)
    await api.viewer.post("admin/users", {"name": "bad", "spec": {}})
    events = await listed(api.admin, page_size=1000)
    found = await made(api.admin.get("admin/audit-events:facets"))
    assert found["total"] == len(events)
    for field in ("type", "principal", "outcome"):
        counts = {one["value"]: one["count"] for one in found[field]}
        values = [event[field] for event in events]
        assert counts == {value: values.count(value) for value in values}, field
    days = [event["at"][:10] for event in events]
    assert {one["value"]: one["count"] for one in found["day"]} == {day: days.count(day) for day in days}
    some = await made(api.admin.get("admin/audit-events:facets", params={"filter": 'type == "admin.user.created"'}))
    assert [one["value"] for one in some["type"]] == ["admin.user.created"]
    assert some["total"] == sum(one["count"] for one in some["type"])
    later = (clock.now() + timedelta(days=1)).isoformat()
    none = await made(api.admin.get("admin/audit-events:facets", params={"since": later}))
    assert none == {"total": 0, "type": [], "principal": [], "outcome": [], "day": []}


@pytest.mark.effect("admin_export_audit_events", "admin_facets_audit_events")
async def test_what_is_asked_wrongly_is_named_before_anything_is_told(api: Api) -> None:
    for verb in ("export", "facets"):
        for wrong in ({"filter": "nothing == 1"}, {"filter": "type =="}, {"since": "yesterday"}):
            refused = await api.admin.get(f"admin/audit-events:{verb}", params=wrong)
            assert (refused.status, refused.headers["content-type"]) == (400, "application/problem+json"), wrong
    assert (await api.admin.get("admin/audit-events:export", params={"format": "xml"})).status == 400


@on_both
@pytest.mark.effect("admin_verify_audit_events")
async def test_a_rewritten_event_is_found(api: Api) -> None:
    await user(api, "ada")
    whole = await made(api.admin.post("admin/audit-events:verify", {}))
    assert whole["holds"] is True
    last = api.events()[-1]
    assert (whole["sequence"], whole["hash"]) == (last["sequence"], last["hash"])
    victim = last["sequence"] - 1
    part = await made(api.admin.post("admin/audit-events:verify", {"until": victim}))
    assert (part["holds"], part["sequence"], part["hash"]) == (True, victim, last["previous_hash"])
    with api.database.write() as connection:
        connection.execute(EVENT.update().where(EVENT.c.sequence == victim).values(principal="another principal"))
    broken = await made(api.admin.post("admin/audit-events:verify", {}))
    assert (broken["holds"], broken["sequence"], broken["hash"]) == (False, victim, None)
    assert str(victim) in broken["detail"]
    behind = await made(api.admin.post("admin/audit-events:verify", {"after": victim}))
    assert behind["holds"] is True


@pytest.mark.parametrize("time", ["332", "-1", "2026-01-31", "2026-01-31T12:00:00", "yesterday"])
async def test_a_time_that_could_mean_two_things_is_refused(api: Api, time: str) -> None:
    """A number would be read as seconds since 1970, and a day or an hour without its zone as the server's own."""
    reply = await api.admin.get("admin/audit-events:facets", params={"since": time})
    assert (reply.status, reply.json["errors"][0]["parameter"]) == (400, "since")
