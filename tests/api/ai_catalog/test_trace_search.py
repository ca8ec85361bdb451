"""The search of traces, and statistics over them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admin.tenants import made
from tests.api.ai_catalog.test_runs import experiment
from tests.api.ai_catalog.traces import OTHER, TRACE, found, span, trace
from tests.api.both_databases import on_both
from tests.api_process import Api


@on_both
@pytest.mark.effect("ai_catalog_search_traces")
async def test_a_search_finds_by_everything_that_a_trace_has(api: Api) -> None:
    place = await experiment(api)
    one = await trace(
        api,
        span(1, attributes={"mlflow.spanType": "CHAT_MODEL", "temperature": "0.5", "text": 'say "hi" to Zoë'}),
        experiment_id=place,
        tags={"team": "docs"},
        metadata={"mlflow.trace.session": "s"},
        client_request_id="r-1",
    )
    await trace(api, span(1, status="ERROR"), experiment_id=place, otel_id=OTHER, state="ERROR", name="other")
    body = {"trace": one["id"], "name": "correct", "value": True}
    await made(api.editor.post("ai-catalog/trace-assessments", body))
    for text in (
        "tags.team = 'docs'",
        "tags.team IS NOT NULL",
        "metadata.`mlflow.trace.session` = 's'",
        "trace.status = 'OK' AND NOT name = 'other'",
        f"request_id = 'tr-{TRACE}'",
        f"trace_id IN ('tr-{TRACE}')",
        "client_request_id LIKE 'r-%'",
        "span.type = 'CHAT_MODEL' AND span.attributes.temperature = '0.5'",
        "span.content ILIKE '%zoë%' OR name = 'nothing'",
        "trace.text LIKE '%Zoë%'",
        "feedback.correct = 'true'",
        "feedback.correct > 0",
        "feedback.correct = 1",
    ):
        assert await found(api, text) == [TRACE], text
    assert await found(api, "span.status = 'ERROR'") == [OTHER]
    assert await found(api, "expectation.correct = 'true'") == []
    assert len(await found(api, f"experiment_id = '{place}' AND timestamp_ms > 0")) == 2
    for text in ("spam.name = 'x'", "color = 'red'", "span.color = 'x'", "prompt = 'x'", "asset LIKE '%'", "name >"):
        assert (await api.viewer.post("ai-catalog/traces:search", {"filter": text})).status == 400, text
    order = {"order_by": ["name DESC"], "page_size": 1}
    first = await made(api.viewer.post("ai-catalog/traces:search", order))
    second = await made(api.viewer.post("ai-catalog/traces:search", order | {"page_token": first["next_page_token"]}))
    assert [page["items"][0]["name"] for page in (first, second)] == ["step 1", "other"]
    assert second["next_page_token"] is None


@on_both
@pytest.mark.effect("ai_catalog_statistics_traces")
async def test_statistics_by_dimension_and_time(api: Api) -> None:
    place = await experiment(api)
    for n in range(5):
        attributes = {"mlflow.llm.model": "small", "mlflow.llm.cost": {"total_cost": 0.5}}
        await trace(
            api,
            span(1, attributes=attributes),
            experiment_id=place,
            otel_id=f"{n + 1:032x}",
            duration_ms=n * 10,
            state="ERROR" if n == 4 else "OK",
            started_at=f"2026-01-0{1 + n % 2}T00:00:00.9Z",
            metadata={"mlflow.trace.session": str(n % 2)},
        )

    async def points(metric: str, *types: Any, **body: Any) -> list[dict[str, Any]]:
        aggregations = [
            {"type": one} if isinstance(one, str) else {"type": "PERCENTILE", "percentile": one} for one in types
        ]
        body |= {"metric": metric, "aggregations": aggregations}
        return list((await made(api.viewer.post("ai-catalog/traces:statistics", body)))["points"])

    (all_,) = await points("latency", "COUNT", "SUM", "AVG", "MIN", "MAX", 50, 90, 0, 100)
    assert all_["values"] == {"COUNT": 5, "SUM": 100, "AVG": 20, "MIN": 0, "MAX": 40} | {
        "P50.0": 20,
        "P90.0": 36,
        "P0.0": 0,
        "P100.0": 40,
    }
    by_state = await points("trace_count", "COUNT", dimensions=["trace_status"])
    assert [(one["dimensions"]["trace_status"], one["values"]["COUNT"]) for one in by_state] == [
        ("ERROR", 1),
        ("OK", 4),
    ]
    by_day = await points("latency", "MAX", 50, interval_seconds=86_400)
    assert [(one["dimensions"]["time_bucket"], one["values"]) for one in by_day] == [
        ("2026-01-01T00:00:00+00:00", {"MAX": 40, "P50.0": 20}),
        ("2026-01-02T00:00:00+00:00", {"MAX": 30, "P50.0": 20}),
    ]
    assert (await points("session_count", "COUNT"))[0]["values"] == {"COUNT": 2}
    (cost,) = await points(
        "total_cost", "SUM", view="SPANS", dimensions=["span_model_name"], filter="span.name = 'step 1'"
    )
    assert cost == {"dimensions": {"span_model_name": "small"}, "values": {"SUM": 2.5}}
    (late,) = await points("trace_count", "COUNT", started_from="2026-01-02T00:00:00Z")
    assert late["values"] == {"COUNT": 2}
    for bad in ({"metric": "color"}, {"dimensions": ["color"]}, {"filter": "assessment.name = 'x'"}):
        assert (await api.viewer.post("ai-catalog/traces:statistics", bad)).status == 400, bad
    for aggregation in ({"type": "PERCENTILE"}, {"type": "SUM", "percentile": 5}):
        assert (await api.viewer.post("ai-catalog/traces:statistics", {"aggregations": [aggregation]})).status == 422
