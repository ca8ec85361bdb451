"""The files of a model that the platform trained: the ONNX artifact, and what MLflow's client needs to load it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.registry import ModelRecord

MODEL_FILE = "model.onnx"
MLFLOW_VERSION = "3.17.2"
"""The version of MLflow whose form the files have."""

_RUNTIME = ("onnx", "onnxruntime", "numpy")


def model_files(record: ModelRecord, artifact: bytes, *, model_id: str, run_id: str) -> dict[str, bytes]:
    """Returns the content of the files of a training, by path.

    The model has one input, a matrix of 32-bit floats with a column for each feature in order, because that is the
    input of the ONNX graph. The names of the columns are in the metadata of `MLmodel`.

    Args:
        record: the training.
        artifact: the ONNX model.
        model_id: id of the logged model.
        run_id: id of the run.
    """
    libraries = record.parameters.get("libraries") or {}
    requirements = [f"{name}=={libraries[name]}" if name in libraries else name for name in _RUNTIME]
    environment = {"dependencies": ["-r requirements.txt"]}
    return {
        MODEL_FILE: artifact,
        "MLmodel": _text(_mlmodel(record, len(artifact), model_id, run_id)),
        "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
        "python_env.yaml": _text(environment),
        "headwater.json": _text(_facts(record)),
    }


def _mlmodel(record: ModelRecord, size: int, model_id: str, run_id: str) -> dict[str, Any]:
    width = len(record.signature.features)
    return {
        "artifact_path": f"models:/{model_id}",
        "flavors": {
            "onnx": {"code": None, "data": MODEL_FILE, "providers": ["CPUExecutionProvider"]},
            "python_function": {
                "data": MODEL_FILE,
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.onnx",
            },
        },
        "metadata": {
            "headwater": {"asset": record.model, "version": record.data_version, "target": record.signature.target}
        },
        "mlflow_version": MLFLOW_VERSION,
        "model_id": model_id,
        "model_size_bytes": size,
        "run_id": run_id,
        "signature": {
            "inputs": json.dumps([_tensor("float32", -1, width)]),
            "outputs": json.dumps(_OUTPUTS),
            "params": None,
        },
        "utc_time_created": f"{record.trained_at:%Y-%m-%d %H:%M:%S.%f}",
    }


def _tensor(type: str, *shape: int, name: str = "") -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {**named, "type": "tensor", "tensor-spec": {"dtype": type, "shape": list(shape)}}


_OUTPUTS = [_tensor("int64", -1, name="label"), _tensor("float32", -1, 2, name="probabilities")]


def _facts(record: ModelRecord) -> dict[str, Any]:
    """Returns what the table of the model states about the training, besides its metrics."""
    return {
        "asset": record.model,
        "version": record.data_version,
        "features": [asdict(feature) for feature in record.signature.features],
        "entity_key": list(record.signature.entity_key),
        "target": record.signature.target,
        "threshold": record.threshold,
    }


def _text(document: dict[str, Any]) -> bytes:
    """Returns a document as JSON, which every reader of YAML understands."""
    return json.dumps(document, indent=2, sort_keys=True).encode()
