"""Traces: facts that arrive in any order and several times, and that only their project sees."""

from __future__ import annotations

from typing import Any

import pytest

from api.services.ai_catalog.logic import trace_recording
from core import clock
from lakehouse.lineage import Edge, Lineage
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.test_runs import experiment, run
from tests.api.ai_catalog.traces import (
    EXPORT,
    OTHER,
    START,
    TRACE,
    exported,
    found,
    span,
    spans_of,
    trace,
)
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


async def test_spans_that_lie_about_their_parents_do_no_harm(api: Api) -> None:
    usage = {"gen_ai.usage.input_tokens": 2, "gen_ai.usage.output_tokens": 1}
    circle = [span(1, 2, attributes=usage), span(2, 1, attributes=usage), span(3, 3), span(4, 9, attributes=usage)]
    one = await trace(api, *circle, complete=False)
    assert (one["state"], one["spans"], one["total_tokens"]) == ("IN_PROGRESS", 4, 3)


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


async def test_a_deleted_experiment_hides_its_traces(api: Api) -> None:
    place = await experiment(api)
    one = await trace(api, span(1), experiment_id=place)
    assert (await api.editor("DELETE", f"ai-catalog/experiments/{place}")).status == 204
    assert (await api.viewer.get(f"ai-catalog/traces/{one['id']}")).status == 404
    assert await found(api, "") == []
    body = {"trace": one["id"], "name": "x", "value": 1}
    assert (await api.editor.post("ai-catalog/trace-assessments", body)).status == 404
    await made(api.editor.post(f"ai-catalog/experiments/{place}:restore", {}))
    assert await found(api, "") == [TRACE]


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


async def test_a_trace_names_the_versions_that_it_read(api: Api) -> None:

    place = await experiment(api)
    asset, version = "flights.index.handbook", "t@3"
    with api.database.write() as connection:
        edge = Edge(
            run="r",
            step="s",
            out_asset=asset,
            out_version=version,
            in_asset="flights.silver.flights",
            in_version="a@1",
            in_columns=(),
            code_version="",
            git_sha="",
            env_digest="",
            engine="",
            params_digest="",
            principal="admin",
            at=clock.now(),
        )
        Lineage.record_in(connection, [edge])
    reads = [f"{asset}@{version}", f"{asset}@t@9", "flights.gold.nothing@t@1", "no version"]
    one = await trace(api, span(1, attributes={"headwater.reads": reads}), experiment_id=place)
    assert one["reads"] == [{"asset": asset, "version": version}], "only versions on record"
    assert await found(api, f"asset = '{asset}'") == [TRACE]


async def test_what_a_trace_read_closes_it_to_those_who_may_not_read_that(api: Api) -> None:
    place = await experiment(api)
    asset, version = "flights.index.handbook", "t@3"
    with api.database.write() as connection:
        edge = Edge(
            *("r", "s", asset, version, "flights.silver.flights", "a@1", (), "", "", "", "", "", "admin", clock.now())
        )
        Lineage.record_in(connection, [edge])
    attributes = {"headwater.reads": f"{asset}@{version}", "mlflow.spanInputs": "a secret row"}
    one = await trace(api, span(1, attributes=attributes), experiment_id=place, metadata={"row": "secret"})
    assert one["request_preview"] == "a secret row"
    reader = await user(api, "reader")
    for permission in ("ai_catalog.trace.*", "ai_catalog.experiment.get", "admin.project.get", "ai_catalog.asset.get"):
        await grant(api, reader, permission, (await api.admin.get("admin/projects/flights")).json["id"])
    caller = api.caller("reader")
    path = f"ai-catalog/traces/{one['id']}"
    seen = await made(caller.get(path))
    assert (seen["request_preview"], seen["metadata"], seen["name"]) == ("", {}, "step 1")
    assert (await caller.get(f"{path}/spans")).status == 403
    assert await found(api, "name = 'step 1'", caller) == [TRACE]
    for text in ("trace.text LIKE '%secret%'", "span.name = 'step 1'", "metadata.row = 'secret'"):
        assert await found(api, text, caller) == [], text
        assert await found(api, text) == [TRACE], text
    mlflow = "/mlflow/api/3.0/mlflow/traces"
    assert (await caller.http.get(f"{mlflow}/get", params={"trace_id": f"tr-{TRACE}"})).status_code == 403
    assert (await caller.http.get(f"{mlflow}/batchGet", params={"trace_ids": f"tr-{TRACE}"})).json() == {"traces": []}
    assert "secret" not in (await caller.http.get(f"{mlflow}/tr-{TRACE}")).text


async def test_a_trace_has_a_size_limit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(trace_recording, "MAX_SPANS", 3)
    place = await experiment(api)
    one = await trace(api, span(1), span(2), experiment_id=place, complete=False)
    body = {"experiment_id": place, "otel_id": TRACE, "spans": [span(3), span(4)]}
    refused = await api.editor.post("ai-catalog/traces", body)
    assert (refused.status, "at most 3 spans" in refused.json["detail"]) == (422, True)
    assert (await api.viewer.get(f"ai-catalog/traces/{one['id']}")).json["spans"] == 2, "all or nothing"


async def test_others_see_and_change_nothing(api: Api) -> None:
    place = await experiment(api)
    one = await trace(api, span(1), experiment_id=place, tags={"secret": "x"})
    assessment = {"trace": one["id"], "name": "x", "value": 1}
    theirs = await made(api.editor.post("ai-catalog/trace-assessments", assessment))
    for method, path, body in (
        ("POST", "ai-catalog/traces", {"experiment_id": place, "otel_id": OTHER}),
        ("PATCH", f"ai-catalog/traces/{one['id']}", {"tags": {"a": "b"}}),
        ("POST", "ai-catalog/trace-assessments", assessment),
        ("POST", "ai-catalog/traces:purge", {"experiment_id": place, "traces": [one["id"]]}),
        ("DELETE", f"ai-catalog/traces/{one['id']}", None),
    ):
        assert (await api.viewer(method, path, **({"json": body} if body else {}))).status == 403, path
    viewed = await api.viewer.http.post(
        EXPORT,
        content=exported(span(5)).SerializeToString(),
        headers={"x-mlflow-experiment-id": place, "content-type": "application/x-protobuf"},
    )
    assert (viewed.status_code, viewed.json()["error_code"]) == (403, "PERMISSION_DENIED")
    other = (await tenant(api, "acme")).admin
    for path in (f"traces/{one['id']}", f"traces/{one['id']}/spans", f"trace-assessments/{theirs['id']}"):
        assert (await other.get(f"ai-catalog/{path}")).status == 404, path
    assert await found(api, "tags.secret = 'x'", other) == []
    statistics = await made(other.post("ai-catalog/traces:statistics", {}))
    assert [point["values"] for point in statistics["points"]] == [{"COUNT": 0}]
    mlflow = "/mlflow/api/3.0/mlflow/traces"
    for method, path, options in (
        ("GET", f"{mlflow}/get", {"params": {"trace_id": f"tr-{TRACE}"}}),
        ("GET", f"{mlflow}/tr-{TRACE}", {}),
        ("PATCH", f"/mlflow/api/2.0/mlflow/traces/tr-{TRACE}/tags", {"json": {"key": "a", "value": "b"}}),
        (
            "POST",
            f"{mlflow}/tr-{TRACE}/assessments",
            {"json": {"assessment": {"assessment_name": "x", "feedback": {"value": 1}}}},
        ),
    ):
        assert (await other.http.request(method, path, **options)).status_code == 404, path
    batch = await other.http.get(f"{mlflow}/batchGet", params={"trace_ids": f"tr-{TRACE}"})
    assert batch.json() == {"traces": []}
    stolen = await other.http.post(
        EXPORT,
        content=exported(span(5)).SerializeToString(),
        headers={"x-mlflow-experiment-id": place, "content-type": "application/x-protobuf"},
    )
    assert stolen.status_code == 404
    assert (await api.viewer.get(f"ai-catalog/traces/{one['id']}")).json["spans"] == 1


async def test_the_same_id_in_another_organization_is_another_trace(api: Api) -> None:
    place = await experiment(api)
    one = await trace(api, span(1), experiment_id=place)
    other = await tenant(api, "acme")
    body = {"name": "theirs", "project_id": other.project, "spec": {"title": "theirs"}}
    theirs = (await made(other.admin.post("ai-catalog/experiments", body)))["id"]
    made_there = await made(
        other.admin.post("ai-catalog/traces", {"experiment_id": theirs, "otel_id": TRACE, "spans": [span(7)]})
    )
    assert made_there["id"] != one["id"]
    got = await other.admin.get("/mlflow/api/3.0/mlflow/traces/get", params={"trace_id": f"tr-{TRACE}"})
    assert [span["name"] for span in got.json["trace"]["spans"]] == ["step 7"]
    ambiguous = await api.admin.http.get("/mlflow/api/3.0/mlflow/traces/get", params={"trace_id": f"tr-{TRACE}"})
    assert (ambiguous.status_code, "MLFLOW_WORKSPACE" in ambiguous.text) == (400, True)
    headers = {"x-mlflow-workspace": "flights"}
    chosen = await api.admin.http.get(
        "/mlflow/api/3.0/mlflow/traces/get", params={"trace_id": f"tr-{TRACE}"}, headers=headers
    )
    assert [span["name"] for span in chosen.json()["trace"]["spans"]] == ["step 1"]
