"""The ClientApp: how a client answers messages. Replies contain only aggregates and metrics, never a row.

There are three messages. `query.moments` returns counts, means and squared distances, from which the server
standardizes the features. `train` takes global weights and returns local weights with a loss. `evaluate` takes global
weights and returns a loss and a histogram of scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from core.errors import HeadwaterError
from federated import model
from federated.model import Arrays, Examples, Scaling, TrainingOptions
from federated.spec import Federation

if TYPE_CHECKING:
    from federated.clients import Source

_ScalingKey = tuple[tuple[float, ...], tuple[float, ...]]

MOMENTS = "query.moments"
"""Message type of the first message exchange."""


class TooFewExamples(HeadwaterError):
    """The client has so few rows that aggregates would disclose them."""


class ModelDiverged(HeadwaterError):
    """Local training produced a number that isn't finite. A smaller learning rate can help."""


def to_record(arrays: Arrays) -> ArrayRecord:
    """Converts arrays for a message, sorted by name, because some of Flower's strategies pair them by position."""
    return ArrayRecord({name: Array(value) for name, value in sorted(arrays.items())})


def from_record(record: ArrayRecord) -> Arrays:
    """Converts the arrays of a message."""
    return {name: array.numpy() for name, array in record.items()}


def client_app(sources: Sequence[Source], federation: Federation) -> ClientApp:
    """Creates the ClientApp for all clients. The `partition-id` in the node configuration selects the source.

    Rows are read and scaled once, and reused in later rounds.
    """
    app = ClientApp()
    rows = _Rows(sources, federation)

    @app.query("moments")
    def moments(message: Message, context: Context) -> Message:
        examples = rows.unscaled(_partition(context))
        parts = model.moments(examples.x)
        # A sum over too few values would disclose them, so the client reports the feature as absent.
        suppressed = parts["count"] < federation.min_examples
        answer = {name: np.where(suppressed, 0.0, part) for name, part in parts.items()}
        return _reply(message, answer, {"num-examples": len(examples)})

    @app.train()
    def train(message: Message, context: Context) -> Message:
        arrays, config = _unpack(message)
        partition = _partition(context)
        examples = rows.train(partition, _scaling(config))
        rng = np.random.default_rng([federation.seed, cast(int, config["server-round"]), partition])
        trained = model.train(arrays, examples, _training_options(federation, config), rng)
        loss = model.log_loss(trained, examples)
        if not np.isfinite(loss):
            raise ModelDiverged(f"The local loss is {loss}. Reduce the learning rate.")
        return _reply(message, trained, {"num-examples": len(examples), "loss": loss})

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        arrays, config = _unpack(message)
        examples = rows.holdout(_partition(context), _scaling(config))
        scores = model.probabilities(arrays, examples.x)
        metrics = {
            "num-examples": len(examples),
            "loss": model.log_loss(arrays, examples),
            "brier": float(np.mean(np.square(scores - examples.y))),
        }
        return _reply(message, {"histogram": model.score_histogram(scores, examples.y)}, metrics)

    return app


class _Rows:
    """The rows of all clients in this process, read and scaled once."""

    def __init__(self, sources: Sequence[Source], federation: Federation) -> None:
        self._minimum = federation.min_examples
        self._sources = sources
        self._unscaled: dict[int, Examples] = {}
        self._scaled: dict[tuple[str, int, _ScalingKey], Examples] = {}

    def unscaled(self, partition: int) -> Examples:
        if partition not in self._unscaled:
            self._unscaled[partition] = self._require_minimum(self._sources[partition].train())
        return self._unscaled[partition]

    def train(self, partition: int, scaling: _ScalingKey) -> Examples:
        key = ("train", partition, scaling)
        if key not in self._scaled:
            self._scaled[key] = _scale(self.unscaled(partition), scaling)
        return self._scaled[key]

    def holdout(self, partition: int, scaling: _ScalingKey) -> Examples:
        key = ("holdout", partition, scaling)
        if key not in self._scaled:
            self._scaled[key] = _scale(self._require_minimum(self._sources[partition].holdout()), scaling)
        return self._scaled[key]

    def _require_minimum(self, examples: Examples) -> Examples:
        if len(examples) < self._minimum:
            raise TooFewExamples(f"The client has {len(examples)} rows. min_examples is {self._minimum}.")
        return examples


def _scale(examples: Examples, scaling: _ScalingKey) -> Examples:
    mean, scale = scaling
    return Examples(Scaling(np.array(mean), np.array(scale)).apply(examples.x), examples.y)


def _partition(context: Context) -> int:
    return int(cast(int, context.node_config["partition-id"]))


def _unpack(message: Message) -> tuple[Arrays, ConfigRecord]:
    record = message.content
    return from_record(record.array_records["arrays"]), record.config_records["config"]


def _scaling(config: ConfigRecord) -> _ScalingKey:
    return tuple(cast(list[float], config["mean"])), tuple(cast(list[float], config["scale"]))


def _training_options(federation: Federation, config: ConfigRecord) -> TrainingOptions:
    return TrainingOptions(
        epochs=federation.local_epochs,
        learning_rate=federation.learning_rate,
        batch_size=federation.batch_size,
        l2=federation.l2,
        proximal_mu=float(cast(float, config.get("proximal-mu", 0.0))),
    )


def _reply(message: Message, arrays: Arrays, metrics: dict[str, float]) -> Message:
    return Message(RecordDict({"arrays": to_record(arrays), "metrics": MetricRecord(dict(metrics))}), reply_to=message)
