"""The results of a federated round: validation of replies, and metrics computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from flwr.app import Message
from safetensors.numpy import load, save

from federated import model
from federated.app import from_record
from federated.model import Arrays, Scaling, Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientRound:
    """The results of one client in one round. Losses are mean log losses. None: the client returned no value."""

    client: str
    train_failure: str | None = None
    evaluate_failure: str | None = None
    examples: int | None = None
    train_loss: float | None = None
    holdout_examples: int | None = None
    loss: float | None = None
    brier: float | None = None
    auc: float | None = None
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Metrics of the global model after a round, over the clients that replied."""

    clients_trained: int
    examples: int
    train_loss: float
    clients_judged: int = 0
    holdout_examples: int = 0
    loss: float | None = None
    brier: float | None = None
    auc: float | None = None
    """Computed from the sum of the clients' score histograms; not the mean of their AUCs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """The complete result of a round. Sufficient to continue with the next round."""

    number: int
    weights: Arrays
    optimizer: Arrays
    scaling: Scaling
    metrics: Metrics
    clients: tuple[ClientRound, ...]


def pack(arrays: Mapping[str, Vector]) -> bytes:
    """Serializes arrays as safetensors, which is exact and can't contain executable code."""
    return save({name: np.ascontiguousarray(value) for name, value in arrays.items()})


def unpack(data: bytes) -> Arrays:
    """Reads arrays from `pack`, sorted by name: safetensors loses the order, and Flower pairs them by position."""
    return dict(sorted(load(data).items()))


def train_fault(reply: Message, expected: Mapping[str, Vector]) -> str | None:
    """Returns the reason why a training reply can't be aggregated; None if it can."""
    if reply.has_error():
        return reply.error.reason or "unknown"
    records = list(reply.content.array_records.values())
    if len(records) != 1 or {name: array.shape for name, array in from_record(records[0]).items()} != {
        name: array.shape for name, array in expected.items()
    }:
        return "malformed arrays"
    if not all(np.isfinite(array).all() for array in from_record(records[0]).values()):
        return "arrays are not finite"
    return _metrics_fault(reply, ("num-examples", "loss"))


def moments_fault(reply: Message, features: int) -> str | None:
    """Returns the reason why a reply with moments can't be used; None if it can."""
    if reply.has_error():
        return reply.error.reason or "unknown"
    records = list(reply.content.array_records.values())
    arrays = from_record(records[0]) if len(records) == 1 else {}
    if {name: array.shape for name, array in arrays.items()} != dict.fromkeys(("count", "mean", "square"), (features,)):
        return "malformed moments"
    if not all(np.isfinite(array).all() for array in arrays.values()):
        return "moments are not finite"
    return "moments are negative" if (arrays["count"] < 0).any() or (arrays["square"] < 0).any() else None


def evaluate_fault(reply: Message) -> str | None:
    """Returns the reason why an evaluation reply can't be used; None if it can."""
    if reply.has_error():
        return reply.error.reason or "unknown"
    records = list(reply.content.array_records.values())
    if len(records) != 1 or from_record(records[0]).get("histogram", np.zeros(0)).shape != (2, model.HISTOGRAM_BINS):
        return "malformed histogram"
    return _metrics_fault(reply, ("num-examples", "loss", "brier"))


def _metrics_fault(reply: Message, expected: tuple[str, ...]) -> str | None:
    records = list(reply.content.metric_records.values())
    if len(records) != 1 or set(records[0]) != set(expected):
        return "malformed metrics"
    if not all(isinstance(value, (int, float)) and np.isfinite(value) for value in records[0].values()):
        return "metrics are not finite"
    return None if cast(float, records[0]["num-examples"]) > 0 else "no examples"


def reply_metrics(reply: Message) -> dict[str, float]:
    """Returns the metrics of a valid reply."""
    return {name: cast(float, value) for name, value in next(iter(reply.content.metric_records.values())).items()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of a model on the holdouts of all clients."""

    by_client: Mapping[str, Mapping[str, float | None]]
    failures: Mapping[str, str]
    examples: int
    loss: float | None
    brier: float | None
    auc: float | None


def pool_evaluations(replies: Iterable[Message], names: Mapping[int, str]) -> Evaluation:
    """Pools evaluation replies, weighted by their numbers of examples."""
    by_client: dict[str, Mapping[str, float | None]] = {}
    failures: dict[str, str] = {}
    pooled = np.zeros((2, model.HISTOGRAM_BINS))
    examples, loss, brier = 0, 0.0, 0.0
    for reply in replies:
        name = names[reply.metadata.src_node_id]
        if fault := evaluate_fault(reply):
            failures[name] = fault
            continue
        metrics = reply_metrics(reply)
        histogram = from_record(next(iter(reply.content.array_records.values())))["histogram"]
        by_client[name] = metrics | {"auc": model.auc(histogram)}
        count = int(metrics["num-examples"])
        pooled += histogram
        examples += count
        loss += metrics["loss"] * count
        brier += metrics["brier"] * count
    if not examples:
        return Evaluation(by_client, failures, 0, None, None, None)
    return Evaluation(by_client, failures, examples, loss / examples, brier / examples, model.auc(pooled))
