"""Who sees and changes a trace: what it read, its experiment, and its organization decide."""

from __future__ import annotations

from core import clock
from lakehouse.lineage import Edge, Lineage
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.test_runs import experiment
from tests.api.ai_catalog.traces import EXPORT, OTHER, TRACE, exported, found, span, trace
from tests.api.both_databases import on_both
from tests.api_process import Api


@on_both
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


@on_both
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


@on_both
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


@on_both
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


@on_both
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
