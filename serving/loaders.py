"""Loading a trained model for prediction, verified by its digest."""

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

_KEPT_SESSIONS = 8
_KEPT_RECORDS = 64


class Kept(Generic[T]):
    """A few values by key, the least recently used dropped first. Each is made once, even under concurrent use."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[Any, T] = OrderedDict()
        self._making: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Any, make: Callable[[], T]) -> T:
        """The value of `key`, made now if it is not kept. An error while making is raised and nothing is kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._capacity:
                    self._values.popitem(last=False)
            return value

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model version ready to predict. Thread-safe."""

    record: ModelRecord
    session: Any
    """The onnxruntime session."""
    never_missing: NDArray[Any]
    """float32, per input: its median if it was never missing in training, else not-a-number."""

    def probabilities(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Probability of the target per row.

        Args:
            inputs: float32, one row per instance, columns as in the signature; not-a-number is missing. The model has
                learnt what a missing value means only of inputs that were missing in training: one that never was is
                taken at its median.
        """
        import numpy as np

        inputs = np.where(np.isnan(inputs), self.never_missing, inputs)
        return self.session.run(["probabilities"], {"features": inputs})[0][:, 1]  # type: ignore[no-any-return]


_sessions: Kept[Any] = Kept(_KEPT_SESSIONS)
_records: Kept[ModelRecord] = Kept(_KEPT_RECORDS)


def load(tables: Tables, model: str, version: int | None = None) -> ServedModel:
    """Loads a model version; the few used last are kept, by the digest of their artifact.

    Args:
        tables: the lakehouse.
        model: id of the model.
        version: version of its table; without it, the newest training that passed its blocking checks.

    Raises:
        UnknownTable, UnknownVersion, NotFound: no such model, version or training.
        TableDamaged: the artifact does not have its recorded digest.
        InvalidArgument: the artifact has a format this engine does not serve.
    """
    snapshot = tables.snapshot(model, version=version)
    asked = (tables.uri(model), snapshot.data_version, version is None)
    record = _records.get(asked, lambda: find(tables, model, version))
    session = _sessions.get(record.digest, lambda: _open(artifact(tables, record), record))
    return ServedModel(record, session, _never_missing(record))


def _never_missing(record: ModelRecord) -> NDArray[Any]:
    import numpy as np

    features = record.signature.features
    return np.array([f.median if f.missing_share == 0 else np.nan for f in features], dtype=np.float32)


def _open(content: bytes, record: ModelRecord) -> Any:
    import onnxruntime

    if record.format != FORMAT:
        raise InvalidArgument(
            f"{record.model} version {record.version} is {record.format}; only {FORMAT} models are served."
        )
    options = onnxruntime.SessionOptions()
    # Trees over single rows gain nothing from more threads, and the process has other work.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
