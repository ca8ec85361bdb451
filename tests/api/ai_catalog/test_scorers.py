"""Scorers: texts in versions, which the platform never executes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.admin.tenants import made, tenant
from tests.api.ai_catalog.test_runs import experiment
from tests.api.both_databases import on_both
from tests.api_process import Api

MLFLOW = "/mlflow/api/3.0/mlflow/scorers"


async def scorer(api: Api, place: str, **body: Any) -> dict[str, Any]:
    body = {"experiment_id": place, "name": "polite", "definition": '{"name": "polite"}'} | body
    return await made(api.editor.post("ai-catalog/scorers", body))


@on_both
@pytest.mark.effect("ai_catalog_create_scorer", "ai_catalog_delete_scorer")
async def test_versions_of_a_scorer(api: Api) -> None:
    place = await experiment(api)
    text = "__import__('os').abort()"
    first, second = await scorer(api, place, definition=text), await scorer(api, place)
    assert (first["version"], first["definition"], second["version"]) == (1, text, 2)
    assert (await api.editor("DELETE", f"ai-catalog/scorers/{second['id']}")).status == 204
    assert (await scorer(api, place))["version"] == 3, "a number is never used again"
    query = {"filter": f'experiment_id == "{place}"'}
    found = (await api.viewer.get("ai-catalog/scorers", params=query)).json["items"]
    assert [one["version"] for one in found] == [3, 1]
    listed = await api.viewer.get(f"{MLFLOW}/versions", params={"experiment_id": place, "name": "polite"})
    assert [one["scorer_version"] for one in listed.json["scorers"]] == [1, 3]


@on_both
async def test_versions_that_are_stored_at_the_same_time_have_their_own_numbers(api: Api) -> None:
    place = await experiment(api)
    stored = await asyncio.gather(*(scorer(api, place) for _ in range(4)))
    assert sorted(one["version"] for one in stored) == [1, 2, 3, 4]


async def test_a_deleted_experiment_hides_its_scorers(api: Api) -> None:
    place = await experiment(api)
    one = await scorer(api, place)
    assert (await api.editor("DELETE", f"ai-catalog/experiments/{place}")).status == 204
    assert (await api.viewer.get(f"ai-catalog/scorers/{one['id']}")).status == 404
    await made(api.editor.post(f"ai-catalog/experiments/{place}:restore", {}))
    assert (await api.viewer.get(f"ai-catalog/scorers/{one['id']}")).status == 200


@on_both
async def test_others_see_and_change_nothing(api: Api) -> None:
    place = await experiment(api)
    one = await scorer(api, place)
    body = {"experiment_id": place, "name": "polite", "definition": "x"}
    assert (await api.viewer.post("ai-catalog/scorers", body)).status == 403
    assert (await api.viewer("DELETE", f"ai-catalog/scorers/{one['id']}")).status == 403
    other = (await tenant(api, "acme")).admin
    assert (await other.get(f"ai-catalog/scorers/{one['id']}")).status == 404
    assert (await other.post("ai-catalog/scorers", body)).status == 404
    named = {"experiment_id": place, "name": "polite"}
    for method, verb, options in (
        ("GET", "get", {"params": named}),
        ("GET", "list", {"params": named}),
        ("GET", "versions", {"params": named}),
        ("POST", "register", {"json": named | {"serialized_scorer": "x"}}),
        ("DELETE", "delete", {"json": named}),
    ):
        assert (await other.http.request(method, f"{MLFLOW}/{verb}", **options)).status_code == 404, verb
