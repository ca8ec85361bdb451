"""What an application does with the unmodified MLflow client: traces and their assessments."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from client_program import case, main, refused

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, SpanType, Trace
from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricDataPoint, MetricViewType
from mlflow.genai import register_prompt

client = MlflowClient()
store = client._tracing_client.store


@mlflow.trace(span_type=SpanType.RETRIEVER)
def retrieve(question: str) -> list[str]:
    return [f"a document about {question}", "über Flüge ✈"]


@mlflow.trace
def answer(question: str, *, team: str = "docs") -> str:
    mlflow.update_current_trace(tags={"team": team}, metadata={"mlflow.trace.session": "s-1"})
    documents = retrieve(question)
    with mlflow.start_span("generate", span_type=SpanType.CHAT_MODEL) as span:
        span.set_inputs({"messages": documents})
        span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10})
        span.set_attribute("mlflow.llm.model", "small")
        span.set_attribute("temperature", 0.5)
        span.set_attribute("nothing", math.nan)
        span.set_outputs("because")
    return "because"


def traced(*arguments: str, **options: str) -> Trace:
    answer(*arguments, **options)
    return stored()


def stored() -> Trace:
    mlflow.flush_trace_async_logging()
    id = mlflow.get_last_active_trace_id()
    assert id is not None
    return client.get_trace(id)


def experiment(name: str) -> str:
    return str(mlflow.set_experiment(name).experiment_id)


@case
def a_call_becomes_a_trace() -> None:
    place = experiment("calls")
    trace = traced("flights")
    assert trace.info.experiment_id == place
    assert trace.info.state == "OK"
    previews = trace.info.request_preview, trace.info.response_preview
    assert previews == ('{"question": "flights", "team": "docs"}', '"because"'), previews
    assert trace.info.tags["team"] == "docs"
    assert trace.info.trace_metadata["mlflow.trace.session"] == "s-1"
    assert trace.info.token_usage["total_tokens"] == 10
    spans = {span.name: span for span in trace.data.spans}
    assert spans.keys() == {"answer", "retrieve", "generate"}
    assert spans["retrieve"].parent_id == spans["answer"].span_id
    assert spans["retrieve"].outputs == ["a document about flights", "über Flüge ✈"]
    assert spans["retrieve"].span_type == "RETRIEVER"
    assert spans["generate"].get_attribute("temperature") == 0.5
    assert math.isnan(spans["generate"].get_attribute("nothing"))
    assert spans["generate"].inputs == {"messages": ["a document about flights", "über Flüge ✈"]}


@case
def an_error_is_an_event() -> None:
    experiment("errors")

    @mlflow.trace
    def fails() -> None:
        raise ValueError("no seats left")

    with suppress(ValueError):
        fails()
    trace = stored()
    assert trace.info.state == "ERROR"
    (event,) = trace.data.spans[0].events
    assert event.attributes["exception.message"] == "no seats left"
    assert "no seats left" in trace.data.spans[0].status.description


@case
def search() -> None:
    place = experiment("search")
    first, second = traced("one", team="docs"), traced("two", team="sales")

    def ids(**options: Any) -> list[str]:
        found = mlflow.search_traces(locations=[place], return_type="list", **options)
        return [one.info.trace_id for one in found]

    assert ids() == [second.info.trace_id, first.info.trace_id]
    assert ids(order_by=["timestamp_ms ASC"]) == [first.info.trace_id, second.info.trace_id]
    for text in (
        "tags.team = 'sales'",
        "trace.status = 'OK' AND tags.team != 'docs'",
        "metadata.`mlflow.trace.session` = 's-1' AND tags.team LIKE 'sal%'",
        f"timestamp_ms >= {second.info.timestamp_ms} AND tags.team = 'sales'",
        "trace.text LIKE '%about two%'",
        "span.name = 'retrieve' AND span.content LIKE '%about two%'",
        f"request_id = '{second.info.trace_id}'",
    ):
        assert ids(filter_string=text) == [second.info.trace_id], text
    for text in ("span.type = 'RETRIEVER'", "span.attributes.temperature = '0.5'", "trace.name = 'answer'"):
        assert len(ids(filter_string=text)) == 2, text
    assert ids(filter_string="trace.text LIKE '%✈%' AND execution_time_ms > 100000") == []
    page = client.search_traces(locations=[place], max_results=1)
    rest = client.search_traces(locations=[place], max_results=1, page_token=page.token)
    assert [one.info.trace_id for one in (*page, *rest)] == [second.info.trace_id, first.info.trace_id]
    assert not rest.token
    refused("INVALID_PARAMETER_VALUE", lambda: ids(filter_string="nothing = 'x'"))
    frame = mlflow.search_traces(locations=[place])
    assert frame["state"].tolist() == ["OK", "OK"]


@case
def tags() -> None:
    experiment("tags")
    id = traced("tags").info.trace_id
    client.set_trace_tag(id, "color", "blue")
    assert client.get_trace(id).info.tags["color"] == "blue"
    client.delete_trace_tag(id, "color")
    assert "color" not in client.get_trace(id).info.tags
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.delete_trace_tag(id, "color"))


@case
def feedback_and_expectations() -> None:
    place = experiment("assessments")
    trace = traced("assessments")
    id = trace.info.trace_id
    source = AssessmentSource(source_type="HUMAN", source_id="ana")
    made = mlflow.log_feedback(trace_id=id, name="correct", value=True, source=source, rationale="It is.")
    mlflow.log_feedback(trace_id=id, name="score", value=0.25, span_id=trace.data.spans[0].span_id)
    mlflow.log_feedback(trace_id=id, name="judge", error=ValueError("no answer"))
    mlflow.log_expectation(trace_id=id, name="facts", value={"airport": "JFK", "late": [1, 2]})
    found = {one.name: one for one in client.get_trace(id).info.assessments}
    assert (found["correct"].value, found["correct"].rationale) == (True, "It is.")
    assert (found["correct"].source.source_type, found["correct"].source.source_id) == ("HUMAN", "ana")
    assert (found["score"].value, found["score"].span_id) == (0.25, trace.data.spans[0].span_id)
    assert found["judge"].error.error_message == "no answer"
    assert found["facts"].value == {"airport": "JFK", "late": [1, 2]}
    changed = mlflow.override_feedback(trace_id=id, assessment_id=made.assessment_id, value=False, source=source)
    assert mlflow.get_assessment(id, changed.assessment_id).value is False
    assert mlflow.get_assessment(id, made.assessment_id).valid is False
    mlflow.update_assessment(id, found["facts"].assessment_id, mlflow.entities.Expectation(name="facts", value="JFK"))
    assert mlflow.get_assessment(id, found["facts"].assessment_id).value == "JFK"
    mlflow.delete_assessment(id, found["score"].assessment_id)
    refused("RESOURCE_DOES_NOT_EXIST", lambda: mlflow.get_assessment(id, found["score"].assessment_id))

    def matches(text: str) -> int:
        return len(mlflow.search_traces(locations=[place], filter_string=text, return_type="list"))

    assert matches("feedback.correct = 'false'") == 1
    assert matches("feedback.correct = 'true'") == 0, "an assessment that is overridden does not count"
    assert matches("expectation.facts = 'JFK'") == 1


@case
def runs_and_prompts() -> None:
    experiment("links")
    prompt = register_prompt("traced-prompt", "Answer {{ question }}")
    with mlflow.start_run() as run:
        trace = traced("in a run")
    assert trace.info.trace_metadata["mlflow.sourceRun"] == run.info.run_id
    (found,) = mlflow.search_traces(run_id=run.info.run_id, return_type="list")
    assert found.info.trace_id == trace.info.trace_id
    client.link_prompt_versions_to_trace([prompt], trace.info.trace_id)
    place, text = trace.info.experiment_id, "prompt = 'traced-prompt/1'"
    assert len(mlflow.search_traces(locations=[place], filter_string=text, return_type="list")) == 1
    later = traced("not in a run")
    client.link_traces_to_run([later.info.trace_id], run.info.run_id)
    assert len(mlflow.search_traces(run_id=run.info.run_id, return_type="list")) == 2


@case
def statistics() -> None:
    place = experiment("statistics")
    for question in ("one", "two", "three"):
        trace = traced(question)
    mlflow.log_feedback(trace_id=trace.info.trace_id, name="score", value=0.5)

    def query(view: MetricViewType, metric: str, *types: AggregationType, **options: Any) -> list[MetricDataPoint]:
        aggregations = [MetricAggregation(one) for one in types]
        return list(store.query_trace_metrics([place], view, metric, aggregations, **options))

    (point,) = query(MetricViewType.TRACES, "trace_count", AggregationType.COUNT, dimensions=["trace_status"])
    assert (point.dimensions, point.values) == ({"trace_status": "OK"}, {"COUNT": 3.0})
    (point,) = query(MetricViewType.TRACES, "total_tokens", AggregationType.SUM, AggregationType.AVG)
    assert point.values == {"SUM": 30.0, "AVG": 10.0}
    points = query(MetricViewType.SPANS, "span_count", AggregationType.COUNT, dimensions=["span_name"])
    assert {one.dimensions["span_name"]: one.values["COUNT"] for one in points} == dict.fromkeys(
        ("answer", "retrieve", "generate"), 3.0
    )
    (point,) = query(MetricViewType.SPANS, "span_count", AggregationType.COUNT, filters=["span.name = 'generate'"])
    assert point.values == {"COUNT": 3.0}
    (point,) = query(
        MetricViewType.TRACES,
        "trace_count",
        AggregationType.COUNT,
        filters=["trace.tag.team = 'docs'"],
        time_interval_seconds=864_000,
    )
    assert point.values == {"COUNT": 3.0}
    assert "time_bucket" in point.dimensions
    (point,) = query(
        MetricViewType.ASSESSMENTS, "assessment_value", AggregationType.AVG, dimensions=["assessment_name"]
    )
    assert point.values == {"AVG": 0.5}


@case
def deletion() -> None:
    place = experiment("deletion")
    first, second = traced("one"), traced("two")
    assert client.delete_traces(place, trace_ids=[first.info.trace_id]) == 1
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_trace(first.info.trace_id))
    assert client.delete_traces(place, max_timestamp_millis=second.info.timestamp_ms, max_traces=10) == 1
    assert mlflow.search_traces(locations=[place], return_type="list") == []


@case
def a_trace_of_many_spans() -> None:
    experiment("large")
    with mlflow.start_span("root"):
        for n in range(150):
            with mlflow.start_span(f"step {n}") as span:
                span.set_inputs({"text": "x" * 2000, "n": n})
    trace = stored()
    assert len(trace.data.spans) == 151
    assert sorted(one.inputs["n"] for one in trace.data.spans if one.inputs) == list(range(150))


@case
def a_trace_of_another_program() -> None:
    """`mlflow.log_trace` records what was not measured here."""
    experiment("imported")
    id = mlflow.log_trace(name="imported", request={"a": 1}, response=[1, 2], tags={"source": "archive"})
    mlflow.flush_trace_async_logging()
    trace = client.get_trace(id)
    assert trace.data.spans[0].outputs == [1, 2]
    assert trace.info.tags["source"] == "archive"


if __name__ == "__main__":
    main()
