"""Flower's strategies, made resumable: each round is passed to a callback with everything that the next one needs."""

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
from federated.outcomes import ClientRound, Evaluation, Metrics, Round, pool_evaluations, reply_metrics, train_fault
from federated.spec import STRATEGIES, Federation


def create_strategy(federation: Federation) -> Strategy:
    """Creates the Flower strategy that the federation selects."""
    kind = STRATEGIES[federation.strategy]
    options = {
        # Counts arrive as floats if the declaration was JSON or YAML.
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
    """Returns the named attributes as one flat dict, such as `m_t/weights` or `momentum_vector/0`."""
    state: Arrays = {}
    for name in names:
        value = getattr(strategy, name)
        if value is not None:
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            state |= {f"{name}/{key}": np.asarray(part) for key, part in parts}
    return state


def restore_optimizer(strategy: Strategy, state: Mapping[str, np.ndarray]) -> None:
    """Restores the state that `optimizer_state` returned."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for path, value in state.items():
        name, key = path.split("/", 1)
        parts.setdefault(name, {})[key] = value
    for name, arrays in parts.items():
        is_list = all(key.isdigit() for key in arrays)
        setattr(strategy, name, [arrays[key] for key in sorted(arrays, key=int)] if is_list else arrays)


class ResumableStrategy(Strategy):
    """Wraps a Flower strategy: continues the round numbers of a training, and passes each round to `on_round`.

    Replies that are errors or malformed are excluded from the round. With fewer than `min_clients` valid replies, the
    round fails.

    Raises:
        QuorumLost: raised by the aggregation, before anything of the round is stored.
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
        self._inner = create_strategy(federation)
        self._federation = federation
        self._scaling = scaling
        self._names = names
        self._completed = start.number if start else 0
        self._on_round = on_round
        self._traffic = traffic
        self._traffic_before: dict[str, tuple[int, int]] = {}
        self._global: Arrays = {}
        self._trained: dict[str, dict[str, float]] = {}
        self._failures: dict[str, str] = {}
        if start:
            restore_optimizer(self._inner, start.optimizer)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Selects the clients to train. The random selection is the same as without an interruption."""
        self._global = from_record(arrays)
        self._traffic_before = {name: (bytes_.sent, bytes_.received) for name, bytes_ in self._traffic().items()}
        number = server_round + self._completed
        with _seeded_sampling(self._federation.seed, number):
            return list(self._inner.configure_train(number, arrays, config, grid))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregates the valid replies with the strategy, if there are enough."""
        valid: list[Message] = []
        self._trained, self._failures = {}, {}
        for reply in replies:
            name = self._names[reply.metadata.src_node_id]
            if fault := train_fault(reply, self._global):
                self._failures[name] = fault
            else:
                valid.append(reply)
                self._trained[name] = reply_metrics(reply)
        number = server_round + self._completed
        require_quorum(f"Round {number}", self._federation, self._trained, self._failures)
        arrays, metrics = self._inner.aggregate_train(number, valid)
        if arrays is not None:
            self._global = from_record(arrays)
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Requests an evaluation of the new global model from every client."""
        return self._inner.configure_evaluate(server_round + self._completed, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Completes the round and passes it to `on_round`."""
        evaluation = pool_evaluations(replies, self._names)
        number = server_round + self._completed
        self._on_round(self._round(number, evaluation))
        pooled = {"loss": evaluation.loss, "brier": evaluation.brier, "auc": evaluation.auc}
        return MetricRecord({name: value for name, value in pooled.items() if value is not None})

    def summary(self) -> None:
        """Logs the wrapped strategy's configuration."""
        self._inner.summary()

    def _round(self, number: int, evaluation: Evaluation) -> Round:
        examples = sum(int(metrics["num-examples"]) for metrics in self._trained.values())
        return Round(
            number=number,
            weights=self._global,
            optimizer=optimizer_state(self._inner, STRATEGIES[self._federation.strategy].state),
            scaling=self._scaling,
            metrics=Metrics(
                clients_trained=len(self._trained),
                examples=examples,
                train_loss=sum(f["loss"] * f["num-examples"] for f in self._trained.values()) / examples,
                clients_judged=len(evaluation.by_client),
                holdout_examples=evaluation.examples,
                loss=evaluation.loss,
                brier=evaluation.brier,
                auc=evaluation.auc,
            ),
            clients=tuple(self._client(name, evaluation) for name in self._names.values()),
        )

    def _client(self, name: str, evaluation: Evaluation) -> ClientRound:
        trained, evaluated = self._trained.get(name), evaluation.by_client.get(name, {})
        traffic, (sent, received) = self._traffic().get(name, Traffic()), self._traffic_before.get(name, (0, 0))
        holdout = evaluated.get("num-examples")
        return ClientRound(
            client=name,
            train_failure=self._failures.get(name),
            evaluate_failure=evaluation.failures.get(name),
            examples=int(trained["num-examples"]) if trained else None,
            train_loss=trained["loss"] if trained else None,
            holdout_examples=None if holdout is None else int(holdout),
            loss=evaluated.get("loss"),
            brier=evaluated.get("brier"),
            auc=evaluated.get("auc"),
            bytes_sent=traffic.sent - sent,
            bytes_received=traffic.received - received,
        )


def require_quorum(phase: str, federation: Federation, replied: Iterable[str], failures: Mapping[str, str]) -> None:
    """Raises `QuorumLost` if fewer than `min_clients` clients replied."""
    if (count := len(list(replied))) >= federation.min_clients:
        return
    reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items()) or "no reply in time"
    raise QuorumLost(
        f"{phase}: {count} of {len(federation.clients)} clients replied, but {federation.min_clients} are required "
        f"({reasons}). Completed rounds are stored. Run the training again to continue after them."
    )


@contextmanager
def _seeded_sampling(seed: int, number: int) -> Iterator[None]:
    # Flower selects clients with the global random generator; a resumed training must select the same clients.
    before = random.getstate()
    random.seed(f"{seed}:{number}")
    try:
        yield
    finally:
        random.setstate(before)
