from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.errors import Conflict, InvalidArgument, QuorumLost
from federated import model, rounds
from federated.model import Examples, Scaling
from federated.outcomes import Round, pack, unpack
from federated.spec import Federation

Make = Callable[..., Federation]

STRATEGIES: list[tuple[str, dict[str, float]]] = [
    ("fedavg", {}),
    ("fedprox", {"proximal_mu": 0.1}),
    ("fedavgm", {"server_momentum": 0.5, "server_learning_rate": 0.9}),
    ("fedadagrad", {"eta": 0.1}),
    ("fedadam", {"eta": 0.1}),
    ("fedyogi", {"eta": 0.1}),
    ("fedmedian", {}),
    ("fedtrimmedavg", {"beta": 0.2}),
    ("krum", {"num_malicious_nodes": 1.0}),
    ("multikrum", {"num_malicious_nodes": 1.0, "num_nodes_to_select": 5.0}),
]


def stored(done: Round) -> Round:
    """Returns a round after serialization, with its arrays in another order."""
    weights = dict(reversed(unpack(pack(done.weights)).items()))
    return replace(done, weights=weights, optimizer=unpack(pack(done.optimizer)))


def assert_same(one: Round, two: Round) -> None:
    assert one.number == two.number
    assert one.weights.keys() == two.weights.keys()
    for name in one.weights:
        assert one.weights[name].tobytes() == two.weights[name].tobytes()
    for name in one.optimizer:
        assert one.optimizer[name].tobytes() == two.optimizer[name].tobytes()
    assert one.metrics == two.metrics


@pytest.mark.parametrize(("strategy", "options"), STRATEGIES, ids=[name for name, _ in STRATEGIES])
@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_a_resumed_training_equals_an_uninterrupted_one(
    strategy: str, options: dict[str, float], fraction: float, lopsided: list[Any], federation: Make
) -> None:
    spec = federation(lopsided, strategy=strategy, strategy_options=options, fraction=fraction)
    completed: list[Round] = []
    uninterrupted = rounds.run(spec, lopsided, on_round=completed.append)
    assert [done.number for done in completed] == [1, 2, 3, 4]
    for done in completed[:-1]:
        random.seed(done.number)  # the process that resumes has a random generator in another state
        assert_same(rounds.run(spec, lopsided, start=stored(done)), uninterrupted)


def test_a_longer_training_continues_a_shorter_one(even: list[Any], federation: Make) -> None:
    short = federation(even, rounds=2, strategy="fedadam")
    long = replace(short, rounds=5)
    assert_same(rounds.run(long, even, start=rounds.run(short, even)), rounds.run(long, even))


def test_a_complete_training_is_not_repeated(even: list[Any], federation: Make) -> None:
    done = rounds.run(federation(even), even)
    seen: list[Round] = []
    assert rounds.run(federation(even), even, start=done, on_round=seen.append) is done
    assert seen == []


def test_a_full_batch_step_of_fedavg_equals_a_central_step(lopsided: list[Any], federation: Make) -> None:
    """With one step per round, averaging by examples equals gradient descent on all rows together."""
    spec = federation(lopsided, rounds=5, local_epochs=1, batch_size=0)
    federated = rounds.run(spec, lopsided)
    parts = [source.train() for source in lopsided]
    scaling = Scaling.from_moments([model.moments(part.x) for part in parts])
    together = Examples(scaling.apply(np.concatenate([p.x for p in parts])), np.concatenate([p.y for p in parts]))
    options = model.TrainingOptions(epochs=5, learning_rate=spec.learning_rate, batch_size=0)
    central = model.train(model.initial_weights(64), together, options, np.random.default_rng(0))
    np.testing.assert_allclose(federated.weights["weights"], central["weights"], rtol=0, atol=1e-12)


def test_training_works_with_even_and_uneven_clients(even: list[Any], lopsided: list[Any], federation: Make) -> None:
    for sources in (even, lopsided):
        spec = federation(sources, rounds=15)
        judged = rounds.run(spec, sources).metrics
        assert judged.auc is not None
        assert judged.auc > 0.93
        assert judged.holdout_examples == sum(len(source.holdout()) for source in sources)


def test_a_federation_beats_a_single_uneven_client(lopsided: list[Any], federation: Make) -> None:
    spec = federation(lopsided, rounds=10)
    together = rounds.run(spec, lopsided).metrics.auc
    apart = [rounds.single_client_baseline(spec, lopsided, client.name).auc for client in spec.clients]
    assert together is not None
    assert together > max(value for value in apart if value is not None) + 0.05


def test_evaluating_the_weights_gives_the_metrics_of_the_round(even: list[Any], federation: Make) -> None:
    spec = federation(even)
    done = rounds.run(spec, even)
    judged = rounds.evaluate(spec, even, done.weights, done.scaling)
    assert (judged.auc, judged.loss, judged.examples) == (
        done.metrics.auc,
        done.metrics.loss,
        done.metrics.holdout_examples,
    )


class Broken:
    """A client whose storage raises errors."""

    def train(self) -> Examples:
        raise OSError("cannot read passenger 4711")

    holdout = train


class Poisoned:
    """A client that inverts every label."""

    def __init__(self, honest: Any) -> None:
        self._honest = honest

    def train(self) -> Examples:
        rows = self._honest.train()
        return Examples(rows.x, 1.0 - rows.y)

    def holdout(self) -> Examples:
        return self._honest.holdout()


def test_a_failing_client_does_not_stop_the_others(even: list[Any], federation: Make) -> None:
    sources = [*even[:9], Broken()]
    done = rounds.run(federation(sources, min_clients=9), sources)
    assert done.metrics.clients_trained == 9
    assert done.clients[9].train_failure == "OSError"
    assert done.clients[9].evaluate_failure == "OSError"
    assert all(client.train_failure is None for client in done.clients[:9])
    without = rounds.run(federation(even[:9]), even[:9])
    assert done.weights["weights"].tobytes() == without.weights["weights"].tobytes()


def test_a_client_that_fails_midway_misses_later_rounds(even: list[Any], federation: Make) -> None:
    class Leaving:
        asked = 0

        def train(self) -> Examples:
            return even[9].train()

        def holdout(self) -> Examples:
            raise ConnectionError

    sources = [*even[:9], Leaving()]
    done = rounds.run(federation(sources, min_clients=2), sources)
    assert done.clients[9].train_failure is None
    assert done.clients[9].evaluate_failure == "ConnectionError"
    assert done.metrics.clients_trained == 10
    assert done.metrics.clients_judged == 9


def test_a_round_below_the_quorum_is_not_stored(even: list[Any], federation: Make) -> None:
    sources = [even[0], Broken(), Broken()]
    stored_rounds: list[Round] = []
    with pytest.raises(QuorumLost, match="1 of 3 clients replied, but 2 are required") as caught:
        rounds.run(federation(sources, min_clients=2), sources, on_round=stored_rounds.append)
    assert stored_rounds == []
    assert "4711" not in caught.value.detail
    assert rounds.run(federation(sources, min_clients=1), sources).metrics.clients_trained == 1


def test_a_client_that_diverges_is_excluded(even: list[Any], federation: Make) -> None:
    class Huge:
        def train(self) -> Examples:
            rows = even[0].train()
            return Examples(np.where(rows.x == 0, np.inf, rows.x), rows.y)

        def holdout(self) -> Examples:
            return even[0].holdout()

    # Its moments are infinite too: one client must not corrupt the scaling.
    sources = [*even[:3], Huge()]
    done = rounds.run(federation(sources), sources)
    assert np.isfinite(done.weights["weights"]).all()
    assert done.clients[3].train_failure is not None
    assert done.metrics.clients_trained == 3


def test_krum_tolerates_a_malicious_client_that_corrupts_the_mean(even: list[Any], federation: Make) -> None:
    sources = [*even[:5], *(Poisoned(source) for source in even[5:8])]
    auc = {
        strategy: rounds.run(
            federation(sources, strategy=strategy, strategy_options=options, rounds=6, local_epochs=10), sources
        ).metrics.auc
        for strategy, options in [("fedavg", {}), ("krum", {"num_malicious_nodes": 3})]
    }
    assert auc["krum"] is not None
    assert auc["fedavg"] is not None
    assert auc["krum"] > auc["fedavg"]
    assert auc["krum"] > 0.9


def test_the_mean_is_weighted_by_examples(even: list[Any], federation: Make) -> None:
    """A client with few rows must have less weight than a client with many rows."""
    few, many = even[0], even[1]
    few.x, few.y = few.x[:30], few.y[:30]
    spec = federation([few, many], rounds=1, batch_size=0, local_epochs=1)
    done = rounds.run(spec, [few, many])
    scaling = done.scaling
    parts = []
    for source in (few, many):
        rows = source.train()
        scaled = Examples(scaling.apply(rows.x), rows.y)
        options = model.TrainingOptions(epochs=1, learning_rate=spec.learning_rate, batch_size=0)
        parts.append((len(rows), model.train(model.initial_weights(64), scaled, options, np.random.default_rng(0))))
    weighted = sum(count * arrays["weights"] for count, arrays in parts) / sum(count for count, _ in parts)
    np.testing.assert_allclose(done.weights["weights"], weighted, atol=1e-14)


def test_the_number_of_sources_must_match(even: list[Any], federation: Make) -> None:
    with pytest.raises(InvalidArgument, match="10 clients, but 9 sources"):
        rounds.run(federation(even), even[:9])


def test_a_process_runs_one_federation_at_a_time(even: list[Any], federation: Make) -> None:
    def inner(_: Round) -> None:
        rounds.run(federation(even), even)

    with pytest.raises(Conflict, match="is already running a federation"):
        rounds.run(federation(even), even, on_round=inner)
    assert rounds.run(federation(even), even).number == 4


def test_an_error_in_on_round_stops_the_training(even: list[Any], federation: Make) -> None:
    completed: list[int] = []

    def on_round(done: Round) -> None:
        if done.number == 3:
            raise OSError("disk full")
        completed.append(done.number)

    with pytest.raises(OSError, match="disk full"):
        rounds.run(federation(even), even, on_round=on_round)
    assert completed == [1, 2]


def test_no_network_connections_are_opened(even: list[Any], federation: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from flwr.supercore import telemetry

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    rounds.run(federation(even), even)
    assert telemetry.FLWR_TELEMETRY_ENABLED == "0"
