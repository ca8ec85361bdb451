"""Loads trained models for prediction, and verifies their digests."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from core.errors import InvalidArgument
from serving.registry import FORMAT, ModelRecord, artifact, find

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lakehouse.tables import Tables

T = TypeVar("T")

_MAX_SESSIONS = 8
_MAX_RECORDS = 64


class Cache(Generic[T]):
    """A least-recently-used cache that computes each value once, even under concurrent use."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[Any, T] = OrderedDict()
        self._in_progress: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Any, create: Callable[[], T]) -> T:
        """Returns the value for `key`; creates it if it isn't cached. Errors from `create` are raised, not cached."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            in_progress = self._in_progress.setdefault(key, threading.Lock())
        with in_progress:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = create()
            finally:
                with self._lock:
                    self._in_progress.pop(key, None)
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._capacity:
                    self._values.popitem(last=False)
            return value

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model version that is ready to predict. Thread-safe."""

    record: ModelRecord
    session: Any
    """The onnxruntime session."""
    fill_values: NDArray[Any]
    """float32, per input: the median if the training data had no missing values, else NaN."""

    def probabilities(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Returns the probability of the target for each row.

        Args:
            inputs: float32, one row per instance, with the columns of the signature; NaN means missing. The model
                learned the effect of missing values only for inputs with missing values in the training data. For
                other inputs, the median replaces a missing value.
        """
        import numpy as np

        inputs = np.where(np.isnan(inputs), self.fill_values, inputs)
        return self.session.run(["probabilities"], {"features": inputs})[0][:, 1]  # type: ignore[no-any-return]


_sessions: Cache[Any] = Cache(_MAX_SESSIONS)
_records: Cache[ModelRecord] = Cache(_MAX_RECORDS)


def load(tables: Tables, model: str, version: int | None = None) -> ServedModel:
    """Loads a model version. Caches recently used models by the digest of their artifact.

    Args:
        tables: the lakehouse.
        model: id of the model.
        version: version of the model's table; by default, the newest training that passed its blocking checks.

    Raises:
        UnknownTable, UnknownVersion, NotFound: the model, version or training doesn't exist.
        TableDamaged: the digest of the artifact isn't the recorded one.
        InvalidArgument: the engine doesn't support the format of the artifact.
    """
    snapshot = tables.snapshot(model, version=version)
    key = (tables.uri(model), snapshot.data_version, version is None)
    record = _records.get(key, lambda: find(tables, model, version))
    session = _sessions.get(record.digest, lambda: _open(artifact(tables, record), record))
    return ServedModel(record, session, _fill_values(record))


def _fill_values(record: ModelRecord) -> NDArray[Any]:
    import numpy as np

    features = record.signature.features
    return np.array([f.median if f.missing_share == 0 else np.nan for f in features], dtype=np.float32)


def _open(content: bytes, record: ModelRecord) -> Any:
    import onnxruntime

    if record.format != FORMAT:
        raise InvalidArgument(
            f"The format of {record.model} version {record.version} is {record.format}, but only {FORMAT} is supported."
        )
    options = onnxruntime.SessionOptions()
    # More threads don't make trees faster for single rows, and the process also serves other requests.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
