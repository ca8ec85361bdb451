"""Every door to rows: who is exempt gets the values, and whom a policy restricts gets none of them.

A door that is refused for any other reason than the policy, or that discloses nothing to anybody, proves nothing. So
each is asked three times: by a reader whom the policy exempts, by one whom it restricts, and by that one after the
policy has ended.
"""

from __future__ import annotations

import io
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.api.admin.tenants import made
from tests.api.ai_catalog.doors import (  # noqa: F401 - register their doors
    events,
    feature_tables,
    features,
    runs,
    tables,
    training_sets,
)
from tests.api.ai_catalog.doors.door import DOORS, HIDDEN, Door, asking
from tests.api.ai_catalog.doors.models import PREDICT, PULSE
from tests.api.ai_catalog.policies import PEOPLE, POLICIES, Office, opened
from tests.api.ai_catalog.sharing import Client, Provider
from tests.api.both_databases import on_both
from tests.api_process import Api


@pytest.fixture
async def office(api: Api) -> Office:
    return await opened(api)


@pytest.mark.parametrize("name", DOORS)
async def test_only_the_policy_closes_a_door(office: Office, name: str) -> None:
    await only_the_policy_closes(office, DOORS[name])


@on_both
@pytest.mark.parametrize("name", [name for name in DOORS if "Marquez" in name])
async def test_a_door_with_separate_statements_is_closed_on_each_database(office: Office, name: str) -> None:
    await only_the_policy_closes(office, DOORS[name])


async def only_the_policy_closes(office: Office, door: Door) -> None:
    ask = await door.prepare(office)
    policy = await office.policy(**door.hides)
    full = await ask(office.api.admin)
    assert (full.status // 100, door.evidence in full.content) == (2, True), full.content
    assert full.of == door.of
    answer = await ask(office.ada)
    assert answer.leaked == [], answer.content
    assert not (door.hides and door.evidence in answer.content), answer.content
    if door.applies:
        assert answer.status == full.status, answer.content
    else:
        status, text = door.refusal
        assert (answer.status, text in answer.detail) == (status, True), answer.content
    await made(office.api.admin.post(f"{POLICIES}/{policy}:disable", {}))
    again = await ask(office.ada)
    assert (again.status // 100, door.evidence in again.content) == (2, True), again.content


async def test_a_prediction_does_not_tell_which_keys_there_are(office: Office) -> None:
    asks = [await DOORS["prediction for a key"].prepare(office)]
    asks += [
        asking("POST", PREDICT, {"instances": [{"visit": "absent"}]}),
        asking("POST", PREDICT, {"instances": [{}]}),
    ]
    assert [(await ask(office.ada)).status for ask in asks] == [200, 404, 422]
    await office.policy(**PULSE)
    assert [(await ask(office.ada)).status for ask in asks] == [403, 403, 403]
    assert [(await ask(office.api.admin)).status for ask in asks] == [200, 404, 422]


async def test_a_policy_ends_what_a_recipient_has_begun(office: Office) -> None:
    """Queries that are read later, further pages, changes, and links: all were allowed when the recipient began."""
    provider = Provider(office.api)
    await provider.share("partners", {"asset": PEOPLE, "history_from": 0})
    client = await provider.client("acme", "partners")
    table = "/shares/partners/schemas/silver/tables/flights"
    later = {"delta-sharing-capabilities": "responseformat=parquet;asyncquery=true"}
    [status] = (await client("POST", f"{table}/query", json={}, headers=later)).lines
    first = (await client("POST", f"{table}/query", json={"maxFiles": 1})).lines
    page = {"pageToken": first[-1]["endStreamAction"]["nextPageToken"]}
    asks: dict[str, tuple[str, str, dict[str, Any]]] = {
        "query": ("POST", f"{table}/query", {"json": {}}),
        "since a version": ("POST", f"{table}/query", {"json": {"startingVersion": 0}}),
        "changes": ("GET", f"{table}/changes?startingVersion=1", {}),
        "later": ("POST", f"{table}/queries/{status['queryStatus']['queryId']}", {"json": {}}),
        "next page": ("POST", f"{table}/query", {"json": page}),
        "new later": ("POST", f"{table}/query", {"json": {}, "headers": later}),
        "metadata": ("GET", f"{table}/metadata", {}),
        "version": ("GET", f"{table}/version", {}),
    }

    async def statuses() -> dict[str, int]:
        return {name: (await client(method, path, **options)).status for name, (method, path, options) in asks.items()}

    everything = dict.fromkeys(asks, 200)
    assert await statuses() == everything
    links = [one["url"] for one in (await client.query("silver/tables/flights")).files]
    assert int(HIDDEN) in {id for link in links for id in await _ids(client, link)}
    policy = await office.policy()
    refused = dict.fromkeys(("since a version", "changes", "next page"), 400)
    assert await statuses() == everything | refused
    assert {(await client.download(link)).status_code for link in links} == {404}
    masked = (await client.query("silver/tables/flights")).files
    assert sorted([id for one in masked for id in await _ids(client, one["url"])]) == [1, 2, 3]
    await made(office.api.admin.post(f"{POLICIES}/{policy}:disable", {}))
    assert await statuses() == everything


async def _ids(client: Client, link: str) -> list[int]:
    content = (await client.download(link)).content
    return list(pq.read_table(io.BytesIO(content))["id"].to_pylist())
