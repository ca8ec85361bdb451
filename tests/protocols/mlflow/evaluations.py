"""What a notebook does with the unmodified MLflow client: evaluation datasets, scorers, and evaluations."""

from __future__ import annotations

from typing import Any

import pandas as pd
from client_program import case, main, refused
from sklearn.linear_model import LinearRegression

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Feedback
from mlflow.genai.datasets import (
    add_dataset_to_experiments,
    create_dataset,
    delete_dataset,
    delete_dataset_tag,
    get_dataset,
    remove_dataset_from_experiments,
    search_datasets,
    set_dataset_tags,
)
from mlflow.genai.judges import make_judge
from mlflow.genai.scorers import delete_scorer, get_scorer, list_scorers, scorer
from mlflow.genai.scorers.registry import list_scorer_versions

client = MlflowClient()
QUESTIONS = [
    {"inputs": {"question": "1 + 1"}, "expectations": {"expected_response": "2"}},
    {"inputs": {"question": "2 + 2"}, "expectations": {"expected_response": "4"}},
    {"inputs": {"question": "2 + 3"}, "expectations": {"expected_response": "6"}},
]


def experiment(name: str) -> str:
    return str(mlflow.set_experiment(name).experiment_id)


@mlflow.trace
def predict(question: str) -> str:
    left, _, right = question.split()
    return str(int(left) + int(right))


@scorer
def exact(outputs: str, expectations: dict[str, str]) -> bool:
    return outputs == expectations["expected_response"]


@scorer
def length(outputs: str) -> Feedback:
    return Feedback(value=len(outputs), rationale="Characters.")


@case
def records_of_a_dataset() -> None:
    place = experiment("records")
    dataset = create_dataset(name="Sums ✓", experiment_id=place, tags={"team": "math"})
    assert (dataset.name, dataset.experiment_ids, dataset.tags["team"]) == ("Sums ✓", [place], "math")
    empty = dataset.digest
    dataset.merge_records(QUESTIONS)
    first = get_dataset(dataset_id=dataset.dataset_id)
    assert first.digest != empty
    dataset.merge_records(QUESTIONS)
    again = get_dataset(dataset_id=dataset.dataset_id)
    assert again.digest == first.digest, "equal records change nothing"
    assert len(again.to_df()) == 3
    dataset.merge_records(pd.DataFrame([{"inputs": {"question": "2 + 3"}, "expectations": {"unit": "none"}}]))
    changed = get_dataset(dataset_id=dataset.dataset_id)
    assert changed.digest != first.digest
    frame = changed.to_df()
    merged = next(row for row in frame.to_dict("records") if row["inputs"]["question"] == "2 + 3")
    assert merged["expectations"] == {"expected_response": "6", "unit": "none"}
    assert changed.delete_records([merged["dataset_record_id"]]) == 1
    assert len(get_dataset(dataset_id=dataset.dataset_id).to_df()) == 2
    refused("RESOURCE_ALREADY_EXISTS", lambda: create_dataset(name="Sums ✓", experiment_id=place))


@case
def datasets_are_found() -> None:
    place, other = experiment("found"), experiment("other")
    one = create_dataset(name="findable", experiment_id=place, tags={"team": "docs"})
    two = create_dataset(name="another", experiment_id=place)

    def names(**options: Any) -> set[str]:
        return {found.name for found in search_datasets(**options)}

    assert names(experiment_ids=[place]) == {"findable", "another"}
    assert names(experiment_ids=[place], filter_string="tags.team = 'docs'") == {"findable"}
    assert names(experiment_ids=[place], filter_string="name LIKE 'ano%'") == {"another"}
    assert get_dataset(name="findable").dataset_id == one.dataset_id
    set_dataset_tags(dataset_id=one.dataset_id, tags={"color": "blue"})
    assert {"team": "docs", "color": "blue"}.items() <= get_dataset(dataset_id=one.dataset_id).tags.items()
    delete_dataset_tag(dataset_id=one.dataset_id, key="color")
    assert "color" not in get_dataset(dataset_id=one.dataset_id).tags
    add_dataset_to_experiments(dataset_id=one.dataset_id, experiment_ids=[other])
    assert names(experiment_ids=[other]) == {"findable"}
    remove_dataset_from_experiments(dataset_id=one.dataset_id, experiment_ids=[other])
    assert names(experiment_ids=[other]) == set()
    delete_dataset(dataset_id=two.dataset_id)
    refused("RESOURCE_DOES_NOT_EXIST", lambda: get_dataset(dataset_id=two.dataset_id))


@case
def traces_become_records() -> None:
    place = experiment("traces")
    predict("1 + 2")
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(mlflow.get_last_active_trace_id())
    mlflow.log_expectation(trace_id=trace.info.trace_id, name="expected_response", value="3")
    dataset = create_dataset(name="from traces", experiment_id=place)
    dataset.merge_records(mlflow.search_traces(locations=[place], return_type="list"))
    (record,) = get_dataset(dataset_id=dataset.dataset_id).to_df().to_dict("records")
    assert (record["inputs"], record["expectations"]) == ({"question": "1 + 2"}, {"expected_response": "3"})
    assert record["source"].source_data["trace_id"] == trace.info.trace_id


@case
def an_evaluation_of_an_application() -> None:
    place = experiment("application")
    dataset = create_dataset(name="sums", experiment_id=place)
    dataset.merge_records(QUESTIONS)
    dataset = get_dataset(dataset_id=dataset.dataset_id)
    result = mlflow.genai.evaluate(data=dataset, predict_fn=predict, scorers=[exact, length])
    assert result.metrics["length/mean"] == 1.0, result.metrics
    assert abs(result.metrics["exact/mean"] - 2 / 3) < 1e-9, result.metrics
    run = client.get_run(result.run_id)
    assert abs(run.data.metrics["exact/mean"] - 2 / 3) < 1e-9
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.digest == dataset.digest, "the run names the version of the dataset"
    traces = mlflow.search_traces(run_id=result.run_id, return_type="list")
    assert len(traces) == 3
    values = sorted(one.value for trace in traces for one in trace.info.assessments if one.name == "exact")
    assert values == [False, True, True]


@case
def an_evaluation_of_a_table_of_answers() -> None:
    experiment("answers")
    rows = [one | {"outputs": "4"} for one in QUESTIONS]
    result = mlflow.genai.evaluate(data=rows, scorers=[exact])
    assert abs(result.metrics["exact/mean"] - 1 / 3) < 1e-9, result.metrics


@case
def scorers_have_versions() -> None:
    place = experiment("scorers")
    for text in ("Is {{ outputs }} polite?", "Is {{ outputs }} short?"):
        make_judge(name="style", instructions=text, model="openai:/small").register(experiment_id=place)
    assert [version for _, version in list_scorer_versions(name="style", experiment_id=place)] == [1, 2]
    assert get_scorer(name="style", experiment_id=place).instructions == "Is {{ outputs }} short?"
    assert get_scorer(name="style", experiment_id=place, version=1).instructions == "Is {{ outputs }} polite?"
    assert [one.name for one in list_scorers(experiment_id=place)] == ["style"]
    delete_scorer(name="style", experiment_id=place, version=2)
    assert get_scorer(name="style", experiment_id=place).instructions == "Is {{ outputs }} polite?"
    delete_scorer(name="style", experiment_id=place, version="all")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: get_scorer(name="style", experiment_id=place))


@case
def a_classic_evaluation() -> None:
    experiment("classic")
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [1.1, 1.9, 3.2, 3.9]})
    with mlflow.start_run() as run:
        model = mlflow.sklearn.log_model(LinearRegression().fit(frame[["x"]], frame["y"]), name="line")
        options = {"targets": "y", "evaluator_config": {"log_explainer": False}}
        result = mlflow.models.evaluate(model.model_uri, frame, model_type="regressor", **options)
    assert result.metrics["mean_absolute_error"] < 0.2
    assert client.get_run(run.info.run_id).data.metrics["r2_score"] > 0.9


if __name__ == "__main__":
    main()
