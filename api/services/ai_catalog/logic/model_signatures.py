"""Signatures of models: what they take and return, read from their files without loading the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from api.kernel.models import Model

if TYPE_CHECKING:
    from lakehouse.blobs import Blobs

_MAX_TEXT_BYTES = 2_000_000
_MAX_ONNX_BYTES = 200_000_000
_MAX_FIELDS = 10_000


class SignatureSource(StrEnum):
    """The file that states a signature."""

    MLMODEL = "MLMODEL"
    ONNX = "ONNX"


class SignatureField(Model):
    """An input or output of a model."""

    name: str
    """Name. Empty if it has none."""

    type: str
    """Type, as the file names it, such as `double` or `float32`."""

    shape: list[int] | None
    """Shape of a tensor. -1 for any length. Null for a column."""

    required: bool | None
    """Whether it is required. Null if the file doesn't state it."""


class ModelSignature(Model):
    """The inputs and outputs of a model, as its files state them."""

    source: SignatureSource | None
    """The file. Null if no file states a signature."""

    inputs: list[SignatureField]
    """Inputs in order."""

    outputs: list[SignatureField]
    """Outputs in order."""

    params: list[SignatureField]
    """Parameters of the prediction."""


NO_SIGNATURE = ModelSignature(source=None, inputs=[], outputs=[], params=[])


def signature_of(blobs: Blobs, project: str, files: Sequence[tuple[str, str]], folder: str = "") -> ModelSignature:
    """Returns the signature of a model. Runs in a worker thread.

    Args:
        blobs: the stored files.
        project: id of the project.
        files: path and digest of each file.
        folder: folder of the model in these files.

    Raises:
        NotFound, TableDamaged: the stored content is missing or was changed.
    """
    digests = {path.removeprefix(f"{folder}/") if folder else path: digest for path, digest in files}
    if digest := digests.get("MLmodel"):
        stated = _of_mlmodel(content(blobs, project, digest, _MAX_TEXT_BYTES))
        if stated is not None:
            return stated
    for path, digest in sorted(digests.items()):
        if path.endswith(".onnx") and (found := _of_onnx(content(blobs, project, digest, _MAX_ONNX_BYTES))):
            return found
    return NO_SIGNATURE


def content(blobs: Blobs, project: str, digest: str, limit: int) -> bytes | None:
    """Returns the content of a file, or None if it is larger than a limit."""
    found = bytearray()
    for chunk in blobs.chunks(project, digest):
        found += chunk
        if len(found) > limit:
            return None
    return bytes(found)


def _of_mlmodel(text: bytes | None) -> ModelSignature | None:
    import yaml

    if text is None:
        return None
    try:
        document = yaml.safe_load(text)
        signature = document.get("signature") if isinstance(document, dict) else None
        if not isinstance(signature, dict):
            return None
        parts = {name: _fields(signature.get(name)) for name in ("inputs", "outputs", "params")}
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return ModelSignature(source=SignatureSource.MLMODEL, **parts)


def _fields(text: Any) -> list[SignatureField]:
    stated = json.loads(text) if isinstance(text, str) else []
    return [_field(one) for one in (stated if isinstance(stated, list) else [])[:_MAX_FIELDS] if isinstance(one, dict)]


def _field(one: dict[str, Any]) -> SignatureField:
    tensor = one.get("tensor-spec")
    shape = tensor.get("shape") if isinstance(tensor, dict) else one.get("shape")
    type = tensor.get("dtype") if isinstance(tensor, dict) else one.get("type")
    known = isinstance(shape, list) and all(isinstance(size, int) and abs(size) < 2**53 for size in shape)
    required = one.get("required")
    return SignatureField(
        name=_text(one.get("name")),
        type=_text(type),
        shape=shape if known else None,
        required=required if isinstance(required, bool) else None,
    )


def _text(value: Any) -> str:
    return value.replace("\0", "")[:500] if isinstance(value, str) else ""


def _of_onnx(artifact: bytes | None) -> ModelSignature | None:
    import onnx

    if artifact is None:
        return None
    try:
        graph = onnx.load_model_from_string(artifact).graph
    except Exception:  # noqa: BLE001 - protobuf raises its own errors, which have no common class with stubs
        return None
    initial = {one.name for one in graph.initializer}
    return ModelSignature(
        source=SignatureSource.ONNX,
        inputs=[_value(one) for one in graph.input[:_MAX_FIELDS] if one.name not in initial],
        outputs=[_value(one) for one in graph.output[:_MAX_FIELDS]],
        params=[],
    )


def _value(one: Any) -> SignatureField:
    import onnx

    tensor = one.type.tensor_type
    known = one.type.HasField("tensor_type")
    sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    names = onnx.TensorProto.DataType
    type = names.Name(tensor.elem_type).lower() if known and tensor.elem_type in names.values() else ""
    return SignatureField(name=_text(one.name), type=type, shape=sizes if known else None, required=None)
