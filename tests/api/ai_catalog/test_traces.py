"""Traces: facts that arrive in any order and several times, and that only their project sees."""

from __future__ import annotations

from typing import Any

import pytest

from api.services.ai_catalog.logic import trace_recording
from tests.api.admin.tenants import made
from tests.api.ai_catalog.test_runs import experiment, run
from tests.api.ai_catalog.traces import START, TRACE, found, span, spans_of, trace
from tests.api.both_databases import on_both
from tests.api_process import Api


@pytest.mark.effect("ai_catalog_create_trace")
async def test_spans_arrive_in_any_order_and_several_times(api: Api) -> None:
    place = await experiment(api)
    usage = {"mlflow.chat.tokenUsage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}
    leaf, middle = span(3, 2, attributes=usage), span(2, 1, attributes=usage | {"note": "ünï ✈"})
    for spans in ([leaf], [leaf, middle], [middle, leaf]):
        one = await trace(api, *spans, experiment_id=place, complete=False)
    assert (one["state"], one["spans"], one["total_tokens"]) == ("IN_PROGRESS", 2, 7), "tokens of a leaf count once"
    root = span(1, attributes={"mlflow.spanInputs": {"q": "?"}, "session.id": "s", "mlflow.traceTag.team": "docs"})
    await trace(api, root, experiment_id=place, complete=False)
    seen = (await api.viewer.get(f"ai-catalog/traces/{one['id']}")).json
    assert (seen["name"], seen["state"], seen["spans"], seen["duration_ms"]) == ("step 1", "OK", 3, 5)
    assert (seen["request_preview"], seen["tags"]) == ('{"q":"?"}', {"team": "docs"})
    assert seen["metadata"] == {"mlflow.trace.session": "s"}
    assert [one["name"] for one in await spans_of(api, one["id"])] == ["step 1", "step 2", "step 3"]
    assert (await spans_of(api, one["id"]))[1]["attributes"]["note"] == "ünï ✈"


@pytest.mark.effect("ai_catalog_create_trace")
async def test_what_is_stored_never_changes(api: Api) -> None:
    place = await experiment(api)
    one = await trace(api, span(1), experiment_id=place, state="ERROR", metadata={"a": "1"}, duration_ms=9)
    again = {"experiment_id": place, "otel_id": TRACE, "state": "ERROR", "duration_ms": 9}
    assert (await api.editor.post("ai-catalog/traces", again | {"spans": [span(1)]})).status == 201
    for body in ({"spans": [span(1, name="other")]}, {"state": "OK"}, {"duration_ms": 8}, {"name": "other"}):
        assert (await api.editor.post("ai-catalog/traces", again | body)).status == 409, body
    twice = [span(5), span(5, attributes={"a": 1})]
    assert (await api.editor.post("ai-catalog/traces", again | {"spans": twice})).status == 409
    await made(api.editor.post("ai-catalog/traces", again | {"metadata": {"a": "2", "b": "3"}}))
    seen = (await api.viewer.get(f"ai-catalog/traces/{one['id']}")).json
    assert (seen["state"], seen["metadata"], seen["spans"]) == ("ERROR", {"a": "1", "b": "3"}, 1)
    elsewhere = again | {"experiment_id": await experiment(api, "other")}
    assert (await api.editor.post("ai-catalog/traces", elsewhere)).status == 409, "an id is unique in a project"


@pytest.mark.parametrize(
    ("spans", "pointer"),
    [
        ([span(1, span_id="0" * 16)], "/spans/0/span_id"),
        ([span(1, span_id="xyz")], "/spans/0/span_id"),
        ([span(1), span(2, ended_ns=START)], "/spans/1/ended_ns"),
        ([span(1, started_ns=2**63)], "/spans/0/started_ns"),
        ([span(1, started_ns=-1)], "/spans/0/started_ns"),
        ([span(1, name="x" * 1001)], "/spans/0/name"),
    ],
)
async def test_a_bad_span_is_refused_with_its_place(api: Api, spans: list[dict[str, Any]], pointer: str) -> None:
    body = {"experiment_id": await experiment(api), "otel_id": TRACE, "spans": spans}
    refused = await api.editor.post("ai-catalog/traces", body)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer), refused.response.text
    assert await found(api, "") == []


@on_both
async def test_spans_that_lie_about_their_parents_do_no_harm(api: Api) -> None:
    usage = {"gen_ai.usage.input_tokens": 2, "gen_ai.usage.output_tokens": 1}
    circle = [span(1, 2, attributes=usage), span(2, 1, attributes=usage), span(3, 3), span(4, 9, attributes=usage)]
    one = await trace(api, *circle, complete=False)
    assert (one["state"], one["spans"], one["total_tokens"]) == ("IN_PROGRESS", 4, 3)


@on_both
async def test_pages_of_spans_neither_repeat_nor_lose_one(api: Api) -> None:
    spans = [span(n + 1, started_ns=START, attributes={"n": n}) for n in range(23)]
    id = (await trace(api, *spans))["id"]
    seen, token = [], ""
    while True:
        query = {"page_size": 5, "page_token": token}
        page = (await api.viewer.get(f"ai-catalog/traces/{id}/spans", params=query)).json
        seen += [one["attributes"]["n"] for one in page["items"]]
        if not (token := page["next_page_token"]):
            break
    assert seen == list(range(23))
    assert (await api.viewer.get(f"ai-catalog/traces/{id}/spans", params={"page_token": "x,y"})).status == 400


@on_both
@pytest.mark.effect("ai_catalog_update_trace", "ai_catalog_link_trace")
async def test_tags_and_links_can_change(api: Api) -> None:
    place = await experiment(api)
    one = await trace(api, span(1), experiment_id=place, tags={"a": "1"})
    path = f"ai-catalog/traces/{one['id']}"
    assert (await api.editor("PATCH", path, json={"tags": {"a": None, "b": "2"}})).status == 200
    assert (await api.editor("PATCH", path, json={"spans": []})).status == 422
    id = (await run(api, experiment_id=place))["id"]
    assert (await api.editor.post(f"{path}:link", {"run": "run_06e1xq0000exampe0000000000"})).status == 404
    await made(api.editor.post(f"{path}:link", {"run": id}))
    await made(api.editor.post(f"{path}:link", {"run": id}))
    seen = (await api.viewer.get(path)).json
    assert (seen["tags"], seen["runs"]) == ({"b": "2"}, [id])
    assert await found(api, f"run_id = '{id}'") == [TRACE]


@on_both
@pytest.mark.effect("ai_catalog_purge_traces", "ai_catalog_delete_trace")
async def test_deleted_traces_are_gone_for_ever(api: Api) -> None:
    place = await experiment(api)
    ids = [(await trace(api, span(1), experiment_id=place, otel_id=f"{n:032x}"))["id"] for n in (1, 2, 3)]
    await made(api.editor.post("ai-catalog/trace-assessments", {"trace": ids[0], "name": "x", "value": 1}))
    assert (await api.editor("DELETE", f"ai-catalog/traces/{ids[0]}")).status == 204
    assert (await api.viewer.get("ai-catalog/trace-assessments")).json["items"] == []
    purge = {"experiment_id": place}
    assert (await api.editor.post("ai-catalog/traces:purge", purge)).status == 422
    other = await experiment(api, "other")
    body = {"experiment_id": other, "traces": ids}
    assert await made(api.editor.post("ai-catalog/traces:purge", body)) == {"deleted": 0}, "of another experiment"
    tried = await api.editor.post("ai-catalog/traces:purge", purge | {"traces": ids}, params={"validate_only": True})
    assert tried.json == {"deleted": 2}
    assert len(await found(api, "")) == 2
    assert await made(api.editor.post("ai-catalog/traces:purge", purge | {"traces": [ids[1]]})) == {"deleted": 1}
    old = {"started_before": "2030-01-01T00:00:00Z", "max_traces": 5}
    assert await made(api.editor.post("ai-catalog/traces:purge", purge | old)) == {"deleted": 1}
    assert await found(api, "") == []
    assert (await trace(api, span(1), experiment_id=place, otel_id=f"{2:032x}"))["spans"] == 1


@on_both
@pytest.mark.effect(
    "ai_catalog_create_trace_assessment", "ai_catalog_update_trace_assessment", "ai_catalog_delete_trace_assessment"
)
async def test_an_assessment_can_replace_another(api: Api) -> None:
    one = await trace(api, span(1))
    body = {"trace": one["id"], "name": "correct", "value": {"a": [1, None, "x"]}, "span_id": span(1)["span_id"]}
    first = await made(api.editor.post("ai-catalog/trace-assessments", body))
    assert (first["value"], first["created_by"]) == ({"a": [1, None, "x"]}, "editor")
    second = await made(
        api.editor.post("ai-catalog/trace-assessments", body | {"value": None, "overrides": first["id"]})
    )
    seen = {item["id"]: item for item in (await api.viewer.get("ai-catalog/trace-assessments")).json["items"]}
    assert (seen[first["id"]]["valid"], seen[second["id"]]["valid"], seen[second["id"]]["value"]) == (False, True, None)
    path = f"ai-catalog/trace-assessments/{second['id']}"
    change = {"value": "no", "rationale": "Too late.", "metadata": {"k": "v"}, "error": {"message": "timeout"}}
    assert (await api.editor("PATCH", path, json=change)).status == 200
    changed = (await api.viewer.get(path)).json
    assert (changed["value"], changed["error"]["message"], changed["metadata"]) == ("no", "timeout", {"k": "v"})
    assert (await api.editor("DELETE", path)).status == 204
    assert (await api.viewer.get(f"ai-catalog/trace-assessments/{first['id']}")).json["valid"] is True
    for bad in ({"span_id": "f" * 16}, {"overrides": "asm_x"}, {"type": "EXPECTATION", "error": {"message": "x"}}):
        assert (await api.editor.post("ai-catalog/trace-assessments", body | bad)).status == 422, bad


async def test_a_trace_has_a_size_limit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(trace_recording, "MAX_SPANS", 3)
    place = await experiment(api)
    one = await trace(api, span(1), span(2), experiment_id=place, complete=False)
    body = {"experiment_id": place, "otel_id": TRACE, "spans": [span(3), span(4)]}
    refused = await api.editor.post("ai-catalog/traces", body)
    assert (refused.status, "at most 3 spans" in refused.json["detail"]) == (422, True)
    assert (await api.viewer.get(f"ai-catalog/traces/{one['id']}")).json["spans"] == 2, "all or nothing"
