"""Searches of runs: MLflow's language means the same on both databases, and a page never repeats or loses a run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.ai_catalog.test_runs import experiment, logged, run
from tests.api.both_databases import on_both
from tests.api_process import Api

RUNS: dict[str, dict[str, Any]] = {
    "low": {"metrics": {"rmse": 0.5}, "params": {"model": "tree", "a b": "x"}, "tags": {"mlflow.source.name": "Train"}},
    "high": {"metrics": {"rmse": 2.5}, "params": {"model": "Tree"}, "tags": {"mlflow.source.name": "train[1]"}},
    "nan": {"metrics": {"rmse": "NaN"}, "params": {"model": "line"}},
    "endless": {"metrics": {"rmse": "Infinity"}},
    "bare": {},
}

FILTERS = {
    "": "low high nan endless bare",
    "metrics.rmse < 1": "low",
    "metrics.rmse >= 2.5 and params.model = 'Tree'": "high",
    "metrics.rmse > 1e300": "endless",
    "metrics.rmse != 0.5": "high endless",
    "metrics.rmse > -1": "low high endless",
    "params.model LIKE 'tre%'": "low",
    "params.model ILIKE 'TRE_'": "low high",
    "params.model != 'tree'": "high nan",
    "params.model IN ('line', 'tree')": "low nan",
    "params.model NOT IN ('line', 'tree')": "high",
    "params.model IS NULL": "endless bare",
    "params.model IS NOT NULL": "low high nan",
    'params."a b" = "x"': "low",
    "params.`a b` = 'x'": "low",
    "tags.mlflow.source.name LIKE '%[1]'": "high",
    "tags.mlflow.source.name LIKE '%[12]'": "",
    "tag.`mlflow.source.name` = 'Train'": "low",
    "attributes.run_name = 'bare'": "bare",
    "run_name IN ('bare', 'nan')": "nan bare",
    "attributes.status = 'RUNNING'": "low high nan endless bare",
    "start_time > 0 and end_time > 0": "",
    "metrics.rmse < 1 OR NOT (params.model = 'Tree' OR metrics.rmse > 3)": "low nan bare",
}

INVALID = (
    "metrics.rmse <",
    "metrics.rmse < 'low'",
    "params.model < 3 +",
    "params.model = 3",
    "nothing.here = 'x'",
    "nonsense = 'x'",
    "metrics.rmse < 1; DROP TABLE run",
    "metrics.rmse IN (SELECT 1)",
    "EXISTS (SELECT 1)",
    "1 = 1",
    "metrics.rmse < metrics.other",
    "datasets.secret = 'x'",
    "start_time > 99999999999999999999",
    "(" * 3000,
)


async def found(api: Api, **body: Any) -> list[str]:
    reply = await api.viewer.post("ai-catalog/runs:search", body)
    assert reply.status == 200, reply.response.text
    return [one["name"] for one in reply.json["items"]]


async def filled(api: Api) -> str:
    id = await experiment(api)
    for hour, (name, values) in enumerate(RUNS.items()):
        at = f"2026-01-31T{hour:02}:00:00Z"
        one = (await run(api, experiment_id=id, name=name, started_at=at, tags=values.get("tags", {})))["id"]
        metrics = [{"key": key, "value": value} for key, value in values.get("metrics", {}).items()]
        params = [{"key": key, "value": value} for key, value in values.get("params", {}).items()]
        await logged(api, one, metrics=metrics, params=params)
    return id


@on_both
@pytest.mark.effect("ai_catalog_search_runs")
async def test_filters(api: Api) -> None:
    await filled(api)
    for text, names in FILTERS.items():
        assert sorted(await found(api, filter=text)) == sorted(names.split()), text
    for text in INVALID:
        refused = await api.viewer.post("ai-catalog/runs:search", {"filter": text})
        assert refused.status == 400, text
        assert len(refused.json["detail"]) < 400


@on_both
@pytest.mark.effect("ai_catalog_search_runs")
async def test_order_and_pages(api: Api) -> None:
    await filled(api)
    orders = {
        "metrics.rmse": ["low", "high", "endless", "nan", "bare"],
        "metrics.rmse DESC": ["endless", "high", "low", "nan", "bare"],
        "params.model ASC": ["high", "nan", "low", "bare", "endless"],
        "start_time": ["low", "high", "nan", "endless", "bare"],
        "attributes.end_time DESC": ["bare", "endless", "nan", "high", "low"],
        "run_name": ["bare", "endless", "high", "low", "nan"],
    }
    for text, names in orders.items():
        assert await found(api, order_by=[text]) == names, text
        seen, body = [], {"order_by": [text], "page_size": 2, "page_token": ""}
        while True:
            page = (await api.viewer.post("ai-catalog/runs:search", body)).json
            seen += [one["name"] for one in page["items"]]
            if not page["next_page_token"]:
                break
            body["page_token"] = page["next_page_token"]
        assert seen == names, text
    for bad in ("metrics.rmse; DROP TABLE run", "RANDOM()", "nothing.x", "1", "metrics.a, metrics.b", "(SELECT 1)"):
        assert (await api.viewer.post("ai-catalog/runs:search", {"order_by": [bad]})).status == 400, bad
    for token in ("x", "W10=", "bnVsbA==", "WzEsMiwzXQ=="):
        assert (await api.viewer.post("ai-catalog/runs:search", {"page_token": token})).status == 400, token
