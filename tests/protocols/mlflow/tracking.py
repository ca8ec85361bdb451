"""What a notebook does with the unmodified MLflow client: experiments, runs, metrics, and searches."""

from __future__ import annotations

import json
import math

import pandas as pd
from client_program import case, main, refused

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType


def new_experiment(name: str) -> str:
    return str(MlflowClient().create_experiment(name))


@case
def the_fluent_api() -> None:
    mlflow.set_experiment("A notebook: ünïcode ✓")
    with mlflow.start_run(run_name="first", tags={"team": "blue"}) as run:
        mlflow.log_params({"depth": 3, "rate": 0.1})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"auc": 0.75, "f1": 0.5})
        mlflow.set_tag("note", "x" * 5000)
    seen = mlflow.get_run(run.info.run_id)
    assert seen.info.status == "FINISHED"
    assert seen.info.end_time >= seen.info.start_time > 0
    assert seen.info.run_name == "first"
    assert seen.data.params == {"depth": "3", "rate": "0.1"}
    assert seen.data.metrics == {"loss": 0.2, "auc": 0.75, "f1": 0.5}
    assert seen.data.tags["team"] == "blue"
    assert seen.data.tags["mlflow.runName"] == "first"
    assert len(seen.data.tags["note"]) == 5000
    found = mlflow.search_runs(experiment_names=["A notebook: ünïcode ✓"])
    assert list(found["metrics.loss"]) == [0.2]
    assert mlflow.get_experiment_by_name("A notebook: ünïcode ✓").experiment_id == seen.info.experiment_id


@case
def a_run_without_an_experiment() -> None:
    client = MlflowClient()
    run = client.create_run("0")
    assert client.get_experiment(run.info.experiment_id).name == "Default"
    assert client.get_experiment("0").experiment_id == run.info.experiment_id
    assert [one.info.run_id for one in client.search_runs(["0"])] == [run.info.run_id]


@case
def numbers_are_exact() -> None:
    client = MlflowClient()
    run = client.create_run(new_experiment("numbers")).info.run_id
    values = [math.nan, math.inf, -math.inf, 0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308]
    for step, value in enumerate(values):
        client.log_metric(run, "m", value, step=step, timestamp=step)
    seen = [one.value for one in client.get_metric_history(run, "m")]
    assert [repr(one) for one in seen] == [repr(one) for one in values]
    for step in (2**63 - 1, -(2**63)):
        client.log_metric(run, "steps", 1.0, step=step)
    assert [one.step for one in client.get_metric_history(run, "steps")] == [-(2**63), 2**63 - 1]
    assert client.get_run(run).data.metrics["m"] == values[-1]


@case
def a_batch_is_stored_once() -> None:
    client = MlflowClient()
    run = client.create_run(new_experiment("batches")).info.run_id
    metrics = [Metric("m", n, 1000 + n, n) for n in range(1000)]
    for _ in range(2):
        client.log_batch(run, metrics=metrics, params=[Param("p", "1")], tags=[RunTag("t", "2")])
    assert [one.value for one in client.get_metric_history(run, "m")] == list(range(1000))
    message = refused(
        "INVALID_PARAMETER_VALUE",
        lambda: client.log_batch(run, metrics=[Metric("n", 1, 1, 1)], params=[Param("p", "2")]),
    )
    assert "'p'" in message
    assert "n" not in client.get_run(run).data.metrics


@case
def searches_and_pages() -> None:
    client = MlflowClient()
    experiment = new_experiment("searches")
    ids = []
    for n in range(7):
        run = client.create_run(experiment, run_name=f"run {n}", start_time=1000 + n, tags={"odd": str(n % 2)})
        client.log_metric(run.info.run_id, "score", n)
        client.log_param(run.info.run_id, "model", "tree" if n < 4 else "line")
        ids.append(run.info.run_id)

    def found(text: str, **options: object) -> list[str]:
        return [one.info.run_name for one in client.search_runs([experiment], text, **options)]

    assert found("metrics.score > 4 and params.model = 'line'") == ["run 6", "run 5"]
    assert found("tags.odd = '1'", order_by=["metrics.score ASC"]) == ["run 1", "run 3", "run 5"]
    assert found("attributes.run_name LIKE 'run%'", max_results=2) == ["run 6", "run 5"]
    assert found("attributes.start_time <= 1001") == ["run 1", "run 0"]
    first = client.search_runs([experiment], "", order_by=["metrics.score DESC"], max_results=4)
    rest = client.search_runs([experiment], "", order_by=["metrics.score DESC"], max_results=4, page_token=first.token)
    assert [one.info.run_id for one in [*first, *rest]] == ids[::-1]
    assert not rest.token
    refused("INVALID_PARAMETER_VALUE", lambda: client.search_runs([experiment], "nonsense.x = 1"))
    refused("INVALID_PARAMETER_VALUE", lambda: client.search_runs([experiment], "metrics.score ="))
    assert client.search_runs(["exp_nosuch"]) == []


@case
def the_life_of_experiments_and_runs() -> None:
    client = MlflowClient()
    experiment = client.create_experiment("life", tags={"a": "1"})
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_experiment("life"))
    client.set_experiment_tag(experiment, "b", "2")
    client.delete_experiment_tag(experiment, "a")
    client.rename_experiment(experiment, "Life, renamed")
    seen = client.get_experiment(experiment)
    assert (seen.name, seen.tags, seen.lifecycle_stage) == ("Life, renamed", {"b": "2"}, "active")
    assert client.get_experiment_by_name("life") is None
    run = client.create_run(experiment).info.run_id
    client.set_tag(run, "mlflow.runName", "renamed")
    client.update_run(run, status="FAILED")
    client.set_tag(run, "gone", "x")
    client.delete_tag(run, "gone")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.delete_tag(run, "gone"))
    seen_run = client.get_run(run)
    assert (seen_run.info.run_name, seen_run.info.status) == ("renamed", "FAILED")
    assert "gone" not in seen_run.data.tags
    client.delete_run(run)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    assert client.search_runs([experiment]) == []
    assert len(client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)) == 1
    assert len(client.search_runs([experiment], run_view_type=ViewType.ALL)) == 1
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.log_metric(run, "m", 1))
    client.restore_run(run)
    client.log_metric(run, "m", 1)
    client.delete_experiment(experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "deleted"
    again = client.create_experiment("Life, renamed")
    assert again != experiment
    client.delete_experiment(again)
    client.restore_experiment(experiment)
    assert client.get_run(run).info.lifecycle_stage == "active"
    names = [one.name for one in client.search_experiments(filter_string="name LIKE 'Life%'")]
    assert names == ["Life, renamed"]
    deleted = client.search_experiments(view_type=ViewType.DELETED_ONLY, filter_string="name = 'Life, renamed'")
    assert [one.experiment_id for one in deleted] == [again]


@case
def datasets() -> None:
    client = MlflowClient()
    mlflow.set_experiment("datasets")
    frame = pd.DataFrame({"x": [1, 2], "y": [3.0, 4.0]})
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(frame, name="frame", targets="y"), context="training")
    (found,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert found.dataset.name == "frame"
    assert found.tags[0].value == "training"
    assert json.loads(found.dataset.profile)["num_rows"] == 2
    (searched,) = client.search_runs([run.info.experiment_id], "datasets.name = 'frame'")
    assert searched.info.run_id == run.info.run_id


@case
def invalid_values() -> None:
    client = MlflowClient()
    run = client.create_run(new_experiment("invalid")).info.run_id
    bad = "INVALID_PARAMETER_VALUE"
    refused(bad, lambda: client.log_param(run, "p", "x" * 10_000))
    refused(bad, lambda: client.log_metric(run, "k" * 300, 1))
    refused(bad, lambda: client.set_tag(run, "t", "\0"))
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_run("run_nosuch"))
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_experiment("exp_nosuch"))
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.create_run("exp_nosuch"))
    refused(bad, lambda: client.create_experiment("elsewhere", artifact_location="s3://bucket/path"))
    refused(bad, lambda: client.create_experiment(" "))
    seen = client.get_run(run)
    assert (seen.data.params, seen.data.metrics) == ({}, {})


@case
def names_that_look_alike() -> None:
    client = MlflowClient()
    composed, decomposed, cyrillic = "caf\u00e9", "cafe\u0301", "c\u0430f\u00e9"
    first = client.create_experiment(composed)
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_experiment(decomposed))
    assert client.get_experiment_by_name(decomposed).experiment_id == first
    assert client.create_experiment(cyrillic) != first, "another letter is another name"


@case
def asynchronous_logging() -> None:
    mlflow.set_experiment("asynchronous")
    with mlflow.start_run() as run:
        for step in range(50):
            mlflow.log_metric("m", step, step=step, synchronous=False)
        mlflow.flush_async_logging()
    assert len(MlflowClient().get_metric_history(run.info.run_id, "m")) == 50


if __name__ == "__main__":
    main()
