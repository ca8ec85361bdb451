"""What a notebook does with the unmodified MLflow client: models, their registry, and aliases."""

from __future__ import annotations

import threading
from functools import partial

import pandas as pd
from client_program import case, main, refused
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

import mlflow
from mlflow import MlflowClient
from mlflow.models import infer_signature

FRAME = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "z": [0.0, 1.0, 0.0, 1.0]})
TARGET = [2.0, 4.0, 6.0, 8.0]


def logged(name: str, **options: object) -> object:
    mlflow.set_experiment("models")
    model = LinearRegression().fit(FRAME, TARGET)
    with mlflow.start_run():
        return mlflow.sklearn.log_model(model, name=name, signature=infer_signature(FRAME, TARGET), **options)


@case
def from_training_to_prediction() -> None:
    client = MlflowClient()
    info = logged("line", registered_model_name="Price of a flat")
    client.set_registered_model_alias("Price of a flat", "champion", info.registered_model_version)
    model = mlflow.pyfunc.load_model("models:/Price of a flat@champion")
    assert [round(value, 6) for value in model.predict(FRAME)] == TARGET
    again = mlflow.sklearn.load_model(f"models:/Price of a flat/{info.registered_model_version}")
    assert round(float(again.predict(FRAME)[0]), 6) == 2.0
    by_id = mlflow.pyfunc.load_model(f"models:/{info.model_id}")
    assert by_id.metadata.signature.inputs.input_names() == ["x", "z"]
    version = client.get_model_version_by_alias("Price of a flat", "champion")
    assert (version.aliases, version.status) == (["champion"], "READY")
    assert version.run_id == info.run_id
    run = client.get_run(info.run_id)
    assert [one.model_id for one in run.outputs.model_outputs] == [info.model_id]


@case
def logged_models() -> None:
    client = MlflowClient()
    info = logged("first", params={"depth": "3"}, tags={"team": "blue"}, model_type="line")
    model = mlflow.get_logged_model(info.model_id)
    assert (model.name, model.params["depth"], model.tags["team"]) == ("first", "3", "blue")
    assert (str(model.status), model.source_run_id) == ("READY", info.run_id)
    mlflow.set_logged_model_tags(info.model_id, {"note": "good"})
    client.delete_logged_model_tag(info.model_id, "team")
    tags = mlflow.get_logged_model(info.model_id).tags
    assert (tags["note"], "team" in tags) == ("good", False)
    found = mlflow.search_logged_models(
        experiment_ids=[model.experiment_id],
        filter_string="name = 'first' AND params.depth = '3'",
        output_format="list",
    )
    assert [one.model_id for one in found] == [info.model_id]
    pending = mlflow.initialize_logged_model(name="pending")
    assert str(pending.status) == "PENDING"
    refused("RESOURCE_ALREADY_EXISTS", lambda: mlflow.finalize_logged_model(pending.model_id, "READY"))
    mlflow.finalize_logged_model(pending.model_id, "FAILED")
    client.delete_logged_model(pending.model_id)
    refused("RESOURCE_DOES_NOT_EXIST", lambda: mlflow.get_logged_model(pending.model_id))


@case
def the_registry() -> None:
    client = MlflowClient()
    name = "registry: no"
    refused("INVALID_PARAMETER_VALUE", lambda: client.create_registered_model(name))
    client.create_registered_model("Régistry 1", tags={"a": "1"}, description="First.")
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_registered_model("Régistry 1"))
    client.update_registered_model("Régistry 1", description="Changed.")
    client.set_registered_model_tag("Régistry 1", "b", "2")
    client.delete_registered_model_tag("Régistry 1", "a")
    client.rename_registered_model("Régistry 1", "registry-2")
    model = client.get_registered_model("registry-2")
    assert (model.name, model.description, model.tags) == ("registry-2", "Changed.", {"b": "2"})
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model("Régistry 1"))
    sources = [logged(f"m{n}") for n in range(2)]
    for n, source in enumerate(sources, start=1):
        version = client.create_model_version("registry-2", source.model_uri, tags={"n": str(n)})
        assert version.version == str(n), version.version
    client.update_model_version("registry-2", "1", description="The first.")
    client.set_model_version_tag("registry-2", "1", "x", "y")
    client.delete_model_version_tag("registry-2", "1", "n")
    first = client.get_model_version("registry-2", "1")
    assert (first.description, first.tags) == ("The first.", {"x": "y"})
    found = client.search_model_versions("name = 'registry-2'")
    assert [one.version for one in found] == ["2", "1"]
    assert [one.version for one in client.search_model_versions("name = 'registry-2' AND tags.x = 'y'")] == ["1"]
    names = [one.name for one in client.search_registered_models("name LIKE 'registry%'")]
    assert names == ["registry-2"], names
    assert [one.version for one in client.get_latest_versions("registry-2")] == ["2"]
    client.set_registered_model_alias("registry-2", "champion", "1")
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.delete_model_version("registry-2", "1"))
    client.delete_model_version("registry-2", "2")
    assert client.create_model_version("registry-2", sources[0].model_uri).version == "3", (
        "numbers are never used again"
    )
    client.set_registered_model_alias("registry-2", "champion", "3")
    assert client.get_registered_model("registry-2").aliases == {"champion": "3"}
    client.delete_registered_model_alias("registry-2", "champion")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_model_version_by_alias("registry-2", "champion"))
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.set_registered_model_alias("registry-2", "champion", "9"))
    client.delete_registered_model("registry-2")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model("registry-2"))
    assert list(client.search_model_versions("name = 'registry-2'")) == []


@case
def metrics_of_models() -> None:
    info = logged("measured")
    data = mlflow.data.from_pandas(FRAME, name="flats")
    with mlflow.start_run(run_id=info.run_id):
        mlflow.log_metric("rmse", 0.5, model_id=info.model_id, dataset=data)
    model = mlflow.get_logged_model(info.model_id)
    (metric,) = [one for one in model.metrics if one.key == "rmse"]
    assert (metric.value, metric.dataset_name, metric.run_id) == (0.5, "flats", info.run_id)
    assert metric.dataset_digest == data.digest
    found = mlflow.search_logged_models(
        experiment_ids=[model.experiment_id], filter_string="metrics.rmse < 1", output_format="list"
    )
    assert [one.model_id for one in found] == [info.model_id]


@case
def stages_follow_the_policy() -> None:
    client = MlflowClient()
    client.create_registered_model("staged")
    client.create_model_version("staged", logged("staged").model_uri)
    assert client.transition_model_version_stage("staged", "1", "Staging").current_stage == "Staging"
    assert round(float(mlflow.pyfunc.load_model("models:/staged/Staging").predict(FRAME)[0]), 6) == 2.0
    message = refused("PERMISSION_DENIED", lambda: client.transition_model_version_stage("staged", "1", "Production"))
    assert "stq_" in message, message
    assert client.get_latest_versions("staged", ["Production"]) == []
    assert [one.version for one in client.get_latest_versions("staged", ["Staging"])] == ["1"]


@case
def a_model_without_files() -> None:
    client = MlflowClient()
    client.create_registered_model("empty")
    mlflow.set_experiment("models")
    with mlflow.start_run() as run:
        pass
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_model_version("empty", f"runs:/{run.info.run_id}/model"))
    for source in ("s3://bucket/model", "file:///etc"):
        refused("INVALID_PARAMETER_VALUE", partial(client.create_model_version, "empty", source))
    for source in ("models:/lmd_nosuch", "runs:/run_nosuch/model"):
        refused("RESOURCE_DOES_NOT_EXIST", partial(client.create_model_version, "empty", source))
    assert list(client.search_model_versions("name = 'empty'")) == []


@case
def two_clients_move_one_alias() -> None:
    client = MlflowClient()
    client.create_registered_model("contested")
    for n in range(4):
        client.create_model_version("contested", logged(f"c{n}").model_uri)
    moves = [threading.Thread(target=move, args=(n,)) for n in range(1, 5)]
    for one in moves:
        one.start()
    for one in moves:
        one.join()
    alias = client.get_registered_model("contested").aliases["champion"]
    holders = [one.version for one in client.search_model_versions("name = 'contested'") if one.aliases]
    assert holders == [str(alias)]


def move(version: int) -> None:
    client = MlflowClient()
    for _ in range(5):
        client.set_registered_model_alias("contested", "champion", str(version))


@case
def autologging_of_scikit_learn() -> None:
    mlflow.set_experiment("autolog")
    mlflow.sklearn.autolog(silent=True)
    try:
        with mlflow.start_run() as run:
            RandomForestClassifier(n_estimators=3, random_state=7).fit(FRAME, [0, 1, 0, 1])
    finally:
        mlflow.sklearn.autolog(disable=True)
    seen = MlflowClient().get_run(run.info.run_id)
    assert seen.data.params["n_estimators"] == "3"
    assert seen.data.metrics["training_accuracy_score"] >= 0.5
    (output,) = seen.outputs.model_outputs
    assert mlflow.sklearn.load_model(f"models:/{output.model_id}").n_estimators == 3


@case
def evaluation() -> None:
    mlflow.set_experiment("evaluation")
    data = FRAME.assign(prediction=[2.0, 4.0, 6.0, 9.0], target=TARGET)
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(
            data=data, predictions="prediction", targets="target", model_type="regressor", evaluator_config={}
        )
    assert result.metrics["mean_absolute_error"] == 0.25
    assert MlflowClient().get_run(run.info.run_id).data.metrics["mean_absolute_error"] == 0.25


if __name__ == "__main__":
    main()
