"""Flower's strategies, made resumable: each round is offered for keeping, with all that the next one needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import flwr.serverapp.strategy as flower
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from core.errors import QuorumLost
from federated.app import from_record
from federated.grid import Traffic
from federated.model import Arrays, Scaling
from federated.outcomes import ClientRound, Judgement, Metrics, Round, judge, numbers, train_fault
from federated.spec import STRATEGIES, Federation


def build(federation: Federation) -> Strategy:
    """The strategy from Flower that the federation names."""
    kind = STRATEGIES[federation.strategy]
    options = {
        # Counts reach us as floats where the declaration was JSON or YAML.
        name: int(value) if name.startswith("num_") else value
        for name, value in federation.strategy_options.items()
    }
    strategy: Strategy = getattr(flower, kind.flower_class)(
        fraction_train=federation.fraction,
        fraction_evaluate=1.0,
        min_train_nodes=federation.min_clients,
        min_evaluate_nodes=federation.min_clients,
        min_available_nodes=federation.min_clients,
        **options,
    )
    return strategy


def optimizer_state(strategy: Strategy, names: Iterable[str]) -> Arrays:
    """The named attributes as one flat dict: `m_t/weights`, `momentum_vector/0`."""
    state: Arrays = {}
    for name in names:
        held = getattr(strategy, name)
        if held is not None:
            parts = held.items() if isinstance(held, dict) else enumerate(held)
            state |= {f"{name}/{key}": np.asarray(value) for key, value in parts}
    return state


def restore_optimizer(strategy: Strategy, state: Mapping[str, np.ndarray]) -> None:
    """Puts back what `optimizer_state` took."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for path, value in state.items():
        name, key = path.split("/", 1)
        parts.setdefault(name, {})[key] = value
    for name, held in parts.items():
        is_list = all(key.isdigit() for key in held)
        setattr(strategy, name, [held[key] for key in sorted(held, key=int)] if is_list else held)


class RecordedStrategy(Strategy):
    """Wraps a strategy of Flower's: counts rounds from where the training stands, and hands each round to `on_round`.

    A client whose reply is an error or malformed is left out of the round; with fewer than `min_clients` good replies
    the round is given up.

    Raises:
        QuorumLost: from the aggregation, before anything of the round was kept.
    """

    def __init__(
        self,
        federation: Federation,
        scaling: Scaling,
        names: Mapping[int, str],
        *,
        start: Round | None,
        on_round: Callable[[Round], None],
        traffic: Callable[[], Mapping[str, Traffic]],
    ) -> None:
        self._inner = build(federation)
        self._federation = federation
        self._scaling = scaling
        self._names = names
        self._completed = start.number if start else 0
        self._on_round = on_round
        self._traffic = traffic
        self._before: dict[str, tuple[int, int]] = {}
        self._global: Arrays = {}
        self._trained: dict[str, dict[str, float]] = {}
        self._failures: dict[str, str] = {}
        if start:
            restore_optimizer(self._inner, start.optimizer)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Asks the strategy whom to train, drawing as an unbroken training would."""
        self._global = from_record(arrays)
        self._before = {name: (spent.sent, spent.received) for name, spent in self._traffic().items()}
        number = server_round + self._completed
        with _drawing(self._federation.seed, number):
            return list(self._inner.configure_train(number, arrays, config, grid))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Lets the strategy aggregate the good replies, if they are enough."""
        good: list[Message] = []
        self._trained, self._failures = {}, {}
        for reply in replies:
            name = self._names[reply.metadata.src_node_id]
            if fault := train_fault(reply, self._global):
                self._failures[name] = fault
            else:
                good.append(reply)
                self._trained[name] = numbers(reply)
        number = server_round + self._completed
        demand_quorum(f"Round {number}", self._federation, self._trained, self._failures)
        arrays, metrics = self._inner.aggregate_train(number, good)
        if arrays is not None:
            self._global = from_record(arrays)
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Asks every client to judge the new global model."""
        return self._inner.configure_evaluate(server_round + self._completed, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Closes the round and hands it to `on_round`."""
        judgement = judge(replies, self._names)
        number = server_round + self._completed
        self._on_round(self._round(number, judgement))
        pooled = {"loss": judgement.loss, "brier": judgement.brier, "auc": judgement.auc}
        return MetricRecord({name: value for name, value in pooled.items() if value is not None})

    def summary(self) -> None:
        """Logs the wrapped strategy's configuration."""
        self._inner.summary()

    def _round(self, number: int, judgement: Judgement) -> Round:
        examples = sum(int(found["num-examples"]) for found in self._trained.values())
        return Round(
            number=number,
            weights=self._global,
            optimizer=optimizer_state(self._inner, STRATEGIES[self._federation.strategy].state),
            scaling=self._scaling,
            metrics=Metrics(
                clients_trained=len(self._trained),
                examples=examples,
                train_loss=sum(f["loss"] * f["num-examples"] for f in self._trained.values()) / examples,
                clients_judged=len(judgement.by_client),
                holdout_examples=judgement.examples,
                loss=judgement.loss,
                brier=judgement.brier,
                auc=judgement.auc,
            ),
            clients=tuple(self._client(name, judgement) for name in self._names.values()),
        )

    def _client(self, name: str, judgement: Judgement) -> ClientRound:
        trained, judged = self._trained.get(name), judgement.by_client.get(name, {})
        spent, (sent, received) = self._traffic().get(name, Traffic()), self._before.get(name, (0, 0))
        holdout = judged.get("num-examples")
        return ClientRound(
            client=name,
            train_failure=self._failures.get(name),
            evaluate_failure=judgement.failures.get(name),
            examples=int(trained["num-examples"]) if trained else None,
            train_loss=trained["loss"] if trained else None,
            holdout_examples=None if holdout is None else int(holdout),
            loss=judged.get("loss"),
            brier=judged.get("brier"),
            auc=judged.get("auc"),
            bytes_sent=spent.sent - sent,
            bytes_received=spent.received - received,
        )


def demand_quorum(what: str, federation: Federation, answered: Iterable[str], failures: Mapping[str, str]) -> None:
    """Raises `QuorumLost` unless at least `min_clients` answered."""
    if (count := len(list(answered))) >= federation.min_clients:
        return
    why = "; ".join(f"{name}: {reason}" for name, reason in failures.items()) or "no reply in time"
    raise QuorumLost(
        f"{what}: {count} of {len(federation.clients)} clients answered, {federation.min_clients} are needed ({why}). "
        "Completed rounds are kept; run again to continue after them."
    )


@contextmanager
def _drawing(seed: int, number: int) -> Iterator[None]:
    # Flower samples clients from the global generator; a resumed training must draw what an unbroken one would.
    before = random.getstate()
    random.seed(f"{seed}:{number}")
    try:
        yield
    finally:
        random.setstate(before)
