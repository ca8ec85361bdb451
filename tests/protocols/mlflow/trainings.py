"""What a notebook finds with the unmodified MLflow client of a model that the platform trained itself."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from client_program import case, main, refused

import mlflow
from mlflow import MlflowClient

MODEL = "clinic.models.relapse"
FEATURES = "clinic.features.visits"

mlflow.set_workspace("clinic")


def training() -> mlflow.entities.Run:
    experiment = mlflow.get_experiment_by_name(MODEL)
    (found,) = mlflow.search_runs([experiment.experiment_id], output_format="list", filter_string="metrics.auc > 0.5")
    return found


@case
def its_run_names_what_it_read() -> None:
    run = training()
    assert (run.info.status, run.data.tags["mlflow.source.name"]) == ("FINISHED", MODEL)
    assert (run.data.metrics["auc"], run.data.metrics["baseline_auc"], run.data.params["seed"]) == (0.9, 0.5, "1")
    (read,) = run.inputs.dataset_inputs
    assert (read.dataset.name, read.dataset.digest) == (FEATURES, os.environ["FEATURES_VERSION"])
    refused("INVALID_PARAMETER_VALUE", lambda: MlflowClient().log_metric(run.info.run_id, "auc", 1.0))


@case
def its_model_predicts() -> None:
    client = MlflowClient()
    (version,) = client.search_model_versions(f"name = '{MODEL}'")
    client.set_registered_model_alias(MODEL, "champion", version.version)
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    rows = np.array([[80, 1, 70], [30, 4, np.nan]], dtype=np.float32)
    found = model.predict(rows)["probabilities"][:, 1]
    assert found.shape == (2,), found
    assert found[0] > 0.5 > found[1], found
    again = model.predict(pd.DataFrame(rows, columns=["age", "dose", "pulse"]))["probabilities"][:, 1]
    assert list(again) == list(found)
    assert model.metadata.metadata["headwater"]["asset"] == MODEL
    run = training()
    (output,) = run.outputs.model_outputs
    assert mlflow.get_logged_model(output.model_id).source_run_id == run.info.run_id == version.run_id


if __name__ == "__main__":
    main()
