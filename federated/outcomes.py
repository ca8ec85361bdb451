"""What a federated round leaves behind, and how replies become metrics."""

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
    """One client's part in one round. Losses are mean log losses; None where there is nothing to tell."""

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
    """The global model after one round, over the clients that answered."""

    clients_trained: int
    examples: int
    train_loss: float
    clients_judged: int = 0
    holdout_examples: int = 0
    loss: float | None = None
    brier: float | None = None
    auc: float | None = None
    """Over the pooled holdouts: from the sum of the clients' score histograms, not the mean of their AUCs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Everything round `number` produced; enough to continue with the next one."""

    number: int
    weights: Arrays
    optimizer: Arrays
    scaling: Scaling
    metrics: Metrics
    clients: tuple[ClientRound, ...]


def pack(arrays: Mapping[str, Vector]) -> bytes:
    """Arrays as safetensors: exact, and nothing in it can be executed."""
    return save({name: np.ascontiguousarray(value) for name, value in arrays.items()})


def unpack(data: bytes) -> Arrays:
    """Reads what `pack` wrote, sorted by name: safetensors keeps no order, and Flower pairs arrays by position."""
    return dict(sorted(load(data).items()))


def train_fault(reply: Message, expected: Mapping[str, Vector]) -> str | None:
    """Why a training reply cannot be aggregated, or None. One malformed client must not spoil the sum."""
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
    """Why a reply to the first exchange cannot be added up, or None."""
    if reply.has_error():
        return reply.error.reason or "unknown"
    records = list(reply.content.array_records.values())
    shapes = {name: array.shape for name, array in from_record(records[0]).items()} if len(records) == 1 else {}
    if shapes != dict.fromkeys(("count", "sum", "square"), (features,)):
        return "malformed moments"
    finite = all(np.isfinite(array).all() for array in from_record(records[0]).values())
    return None if finite else "moments are not finite"


def evaluate_fault(reply: Message) -> str | None:
    """Why an evaluation reply cannot be counted, or None."""
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


def numbers(reply: Message) -> dict[str, float]:
    """The metrics of a well-formed reply."""
    return {name: cast(float, value) for name, value in next(iter(reply.content.metric_records.values())).items()}


@dataclass(frozen=True, slots=True)
class Judgement:
    """How the global model does on the clients' holdouts."""

    by_client: Mapping[str, Mapping[str, float | None]]
    failures: Mapping[str, str]
    examples: int
    loss: float | None
    brier: float | None
    auc: float | None


def judge(replies: Iterable[Message], names: Mapping[int, str]) -> Judgement:
    """Pools evaluation replies, weighted by their examples."""
    by_client: dict[str, Mapping[str, float | None]] = {}
    failures: dict[str, str] = {}
    pooled = np.zeros((2, model.HISTOGRAM_BINS))
    examples, loss, brier = 0, 0.0, 0.0
    for reply in replies:
        name = names[reply.metadata.src_node_id]
        if fault := evaluate_fault(reply):
            failures[name] = fault
            continue
        found = numbers(reply)
        histogram = from_record(next(iter(reply.content.array_records.values())))["histogram"]
        by_client[name] = found | {"auc": model.auc(histogram)}
        count = int(found["num-examples"])
        pooled += histogram
        examples += count
        loss += found["loss"] * count
        brier += found["brier"] * count
    if not examples:
        return Judgement(by_client, failures, 0, None, None, None)
    return Judgement(by_client, failures, examples, loss / examples, brier / examples, model.auc(pooled))
