"""The ClientApp: what a client does with a message. Only arrays of aggregates and metrics leave it, never a row.

Three messages: `query.moments` (counts, sums and squares, from which the server standardises), `train` (global weights
in, local weights and loss out) and `evaluate` (global weights in, loss and a histogram of scores out).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from core.errors import HeadwaterError
from federated import model
from federated.model import Arrays, Descent, Examples, Scaling
from federated.spec import Federation

if TYPE_CHECKING:
    from federated.clients import Source

_ScalingKey = tuple[tuple[float, ...], tuple[float, ...]]

MOMENTS = "query.moments"
"""Message type of the first exchange."""


class TooFewExamples(HeadwaterError):
    """A client holds so few rows that its aggregates would describe them."""


class ModelDiverged(HeadwaterError):
    """Local training produced a number that is not finite; try a smaller learning rate."""


def to_record(arrays: Arrays) -> ArrayRecord:
    """Arrays as they cross the grid, sorted by name: some of Flower's strategies pair them by position."""
    return ArrayRecord({name: Array(value) for name, value in sorted(arrays.items())})


def from_record(record: ArrayRecord) -> Arrays:
    """Arrays as they came over the grid."""
    return {name: array.numpy() for name, array in record.items()}


def client_app(sources: Sequence[Source], federation: Federation) -> ClientApp:
    """The ClientApp of every client; `partition-id` of the node's configuration chooses its source.

    Rows are read once and kept, scaled, for the rounds that follow.
    """
    app = ClientApp()
    rows = _Rows(sources, federation)

    @app.query("moments")
    def moments(message: Message, context: Context) -> Message:
        examples = rows.unscaled(_partition(context))
        parts = model.moments(examples.x)
        # A sum over fewer values than this would describe them: the feature counts as absent here.
        hidden = parts["count"] < federation.min_examples
        answer = {name: np.where(hidden, 0.0, part) for name, part in parts.items()}
        return _reply(message, answer, {"num-examples": len(examples)})

    @app.train()
    def train(message: Message, context: Context) -> Message:
        arrays, config = _received(message)
        partition = _partition(context)
        examples = rows.train(partition, _scaling(config))
        rng = np.random.default_rng([federation.seed, cast(int, config["server-round"]), partition])
        trained = model.train(arrays, examples, _descent(federation, config), rng)
        loss = model.log_loss(trained, examples)
        if not np.isfinite(loss):
            raise ModelDiverged(f"The local loss became {loss}.")
        return _reply(message, trained, {"num-examples": len(examples), "loss": loss})

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        arrays, config = _received(message)
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
    """Rows of the clients of this process, read and scaled once."""

    def __init__(self, sources: Sequence[Source], federation: Federation) -> None:
        self._minimum = federation.min_examples
        self._sources = sources
        self._unscaled: dict[int, Examples] = {}
        self._scaled: dict[tuple[str, int, _ScalingKey], Examples] = {}

    def unscaled(self, partition: int) -> Examples:
        if partition not in self._unscaled:
            self._unscaled[partition] = self._enough(self._sources[partition].train())
        return self._unscaled[partition]

    def train(self, partition: int, scaling: _ScalingKey) -> Examples:
        key = ("train", partition, scaling)
        if key not in self._scaled:
            self._scaled[key] = _scale(self.unscaled(partition), scaling)
        return self._scaled[key]

    def holdout(self, partition: int, scaling: _ScalingKey) -> Examples:
        key = ("holdout", partition, scaling)
        if key not in self._scaled:
            self._scaled[key] = _scale(self._enough(self._sources[partition].holdout()), scaling)
        return self._scaled[key]

    def _enough(self, examples: Examples) -> Examples:
        if len(examples) < self._minimum:
            raise TooFewExamples(f"{len(examples)} rows, but at least {self._minimum} are asked for.")
        return examples


def _scale(examples: Examples, scaling: _ScalingKey) -> Examples:
    mean, scale = scaling
    return Examples(Scaling(np.array(mean), np.array(scale)).apply(examples.x), examples.y)


def _partition(context: Context) -> int:
    return int(cast(int, context.node_config["partition-id"]))


def _received(message: Message) -> tuple[Arrays, ConfigRecord]:
    record = message.content
    return from_record(record.array_records["arrays"]), record.config_records["config"]


def _scaling(config: ConfigRecord) -> _ScalingKey:
    return tuple(cast(list[float], config["mean"])), tuple(cast(list[float], config["scale"]))


def _descent(federation: Federation, config: ConfigRecord) -> Descent:
    return Descent(
        epochs=federation.local_epochs,
        learning_rate=federation.learning_rate,
        batch_size=federation.batch_size,
        l2=federation.l2,
        proximal_mu=float(cast(float, config.get("proximal-mu", 0.0))),
    )


def _reply(message: Message, arrays: Arrays, metrics: dict[str, float]) -> Message:
    return Message(RecordDict({"arrays": to_record(arrays), "metrics": MetricRecord(dict(metrics))}), reply_to=message)
