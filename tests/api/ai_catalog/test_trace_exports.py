"""Exports of traces by OpenTelemetry and by files: whole or refused, each span once."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

from tests.api.ai_catalog.test_runs import experiment
from tests.api.ai_catalog.traces import START, TRACE, export, export_raw, exported, found, span, spans_of, trace
from tests.api.both_databases import on_both
from tests.api_process import Api


async def test_an_exporter_of_opentelemetry_sends_its_spans(api: Api) -> None:
    place = await experiment(api)
    body = exported(span(1), span(2, 1), nothing=float("nan"), many=2**62, raw=b"\x00\xff", text="✈" * 1000)
    for sent, headers in (
        (body.SerializeToString(), {}),
        (gzip.compress(body.SerializeToString()), {"content-encoding": "gzip"}),
    ):
        reply = await export(api.editor, place, sent, **headers)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/x-protobuf"), reply.response.text
    (one,) = (await api.viewer.get("ai-catalog/traces")).json["items"]
    assert (one["spans"], one["name"], one["otel_id"], one["created_by"]) == (2, "step 1", TRACE, "editor")
    (first, _) = await spans_of(api, one["id"])
    assert first["attributes"] == {"nothing": "NaN", "many": 2**62, "raw": "AP8=", "text": "✈" * 1000}
    whole = await api.viewer.get("/mlflow/api/3.0/mlflow/traces/get", params={"trace_id": f"tr-{TRACE}"})
    values = {pair["key"]: pair["value"] for pair in whole.json["trace"]["spans"][0]["attributes"]}
    assert values["nothing"] == {"doubleValue": "NaN"}
    assert values["raw"] == {"bytesValue": "AP8="}
    assert values["many"] == {"int_value": str(2**62)}


@on_both
async def test_an_export_is_also_json(api: Api) -> None:
    place = await experiment(api)
    value = {"stringValue": "x"}
    one = {
        "traceId": TRACE,
        "spanId": f"{1:016x}",
        "name": "js",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START),
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [one | {"attributes": [{"key": "a", "value": value}]}]}]}]}
    sent = json.dumps(body).encode()
    assert (await export(api.editor, place, sent, **{"content-type": "application/json"})).status == 200
    assert await found(api, "span.name = 'js' AND span.attributes.a = 'x'") == [TRACE]


async def test_a_bad_export_is_refused_as_a_whole(api: Api) -> None:
    place = await experiment(api)
    good = exported(span(1)).SerializeToString()
    too_late = exported(span(1) | {"started_ns": 2**63, "ended_ns": 2**63}).SerializeToString()
    no_id = exported(span(1), otel_id="0" * 32).SerializeToString()
    nul = exported(span(1), text="a\0b").SerializeToString()
    bomb = gzip.compress(b"\0" * 20_000_000)
    zipped = {"content-encoding": "gzip"}
    for body, headers, status in (
        (b"nonsense", {}, 400),
        (good, {"content-type": "text/plain"}, 415),
        (good, zipped, 400),
        (gzip.compress(good)[:-9], zipped, 400),
        (bomb, zipped, 413),
        (too_late, {}, 400),
        (no_id, {}, 400),
        (nul, {}, 400),
        (b'{"resourceSpans": [{"scopeSpans": 5}]}', {"content-type": "application/json"}, 400),
        (b"[" * 100_000, {"content-type": "application/json"}, 400),
    ):
        reply = await export_raw(api, place, body, headers)
        assert reply == status, (body[:50], headers, reply)
    assert await found(api, "") == []


@on_both
async def test_exports_at_the_same_time_store_each_span_once(api: Api) -> None:
    place = await experiment(api)
    batches = [[span(n, 1) for n in range(2 + m, 30, 2)] for m in (0, 1)] + [[span(n, 1) for n in range(2, 30)]] * 2
    bodies = [exported(*batch).SerializeToString() for batch in batches]
    replies = await asyncio.gather(*(export(api.editor, place, body) for body in bodies))
    assert [reply.status for reply in replies] == [200] * 4
    (one,) = (await api.viewer.get("ai-catalog/traces")).json["items"]
    assert one["spans"] == 28 == len(await spans_of(api, one["id"]))


@on_both
async def test_the_file_of_a_trace_adds_the_spans_that_are_missing(api: Api) -> None:
    place = await experiment(api)
    one = await trace(api, span(1), experiment_id=place)
    path = f"/mlflow/api/2.0/mlflow-artifacts/artifacts/{place}/{one['id']}/artifacts/traces.json"
    common: dict[str, Any] = {
        "trace_id": "CvdlGRbNQ92ESOshHIAxnA==",
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "events": [],
    }
    common |= {"start_time_unix_nano": START, "end_time_unix_nano": START + 1, "attributes": {"a": '"b"', "n": "NaN"}}
    spans = [
        common | {"span_id": "AAAAAAAAAAE=", "parent_span_id": None, "name": "known"},
        common | {"span_id": "AAAAAAAAAAI=", "parent_span_id": "AAAAAAAAAAE=", "name": "late"},
    ]
    assert (await api.viewer.http.put(path, json={"spans": spans})).status_code == 403
    for _ in range(2):
        assert (await api.editor("PUT", path, json={"spans": spans})).status == 200
    seen = await spans_of(api, one["id"])
    assert [(one["name"], one["attributes"]) for one in seen] == [("late", {"a": "b", "n": "NaN"}), ("step 1", {})]
    for bad in (b"nonsense", b"{}", b'{"spans": [{}]}'):
        assert (await api.editor.http.put(path, content=bad)).status_code == 400
    assert (await api.editor.http.put(path.replace("traces.json", "x.png"), content=b"x")).status_code == 400
