"""Searches every byte that crosses the grid for the values of every row, in any width."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import Message as WireMessage

from core.errors import QuorumLost
from federated import rounds
from federated.app import client_app
from federated.grid import InProcessGrid, Transmission
from federated.model import HISTOGRAM_BINS, Examples
from federated.spec import Client, Federation

FEATURES = ("fare", "age", "delay")


class Secret:
    """Rows with recognizable values."""

    def __init__(self, seed: int, count: int = 90) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(loc=np.pi, size=(count, 3))
        self.y = (self.x.sum(axis=1) > 3 * np.pi).astype(np.float64)

    def train(self) -> Examples:
        return Examples(self.x[::2], self.y[::2])

    def holdout(self) -> Examples:
        return Examples(self.x[1::2], self.y[1::2])


def make(count: int, **overrides: Any) -> Federation:
    clients = tuple(Client(f"hospital{n}", "lab.silver.patients", f"hospital = {n}") for n in range(count))
    values = {"clients": clients, "features": FEATURES, "target": "ill", "batch_size": 8, "local_epochs": 2}
    return Federation(**(values | overrides))


def values_found(wires: Iterable[bytes], sources: Iterable[Secret]) -> int:
    """Counts the values of the rows that occur in the bytes, as float64, float32 or text."""
    haystack = b"\0".join(wires)
    values = np.concatenate([source.x.ravel() for source in sources])
    needles = [value.tobytes() for width in (np.float64, np.float32) for value in values.astype(width)]
    needles += [repr(float(value)).encode() for value in values]
    return sum(needle in haystack for needle in needles)


@pytest.fixture
def sources() -> list[Secret]:
    return [Secret(seed) for seed in range(3)]


@pytest.mark.parametrize("strategy", ["fedavg", "fedadam"])
def test_no_value_of_any_row_is_sent(sources: list[Secret], strategy: str) -> None:
    transmissions: list[Transmission] = []
    rounds.run(make(3, strategy=strategy), sources, observe=transmissions.append)
    assert {crossing.message_type for crossing in transmissions} == {"query.moments", "train", "evaluate"}
    assert len(transmissions) == 2 * 3 * (1 + 3 + 3)
    assert values_found((crossing.wire for crossing in transmissions), sources) == 0


def test_the_search_detects_a_client_that_sends_one_row(sources: list[Secret]) -> None:
    transmissions: list[Transmission] = []
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        row = sources[0].x[0]
        return Message(RecordDict({"arrays": ArrayRecord({"w": Array(row)})}), reply_to=message)

    grid = InProcessGrid(app, ["a"], observe=transmissions.append)
    with rounds._flower_run():
        list(grid.send_and_receive([Message(RecordDict(), node, "train") for node in grid.get_node_ids()]))
    assert values_found((crossing.wire for crossing in transmissions), sources) == 3


def test_the_size_of_replies_does_not_depend_on_the_number_of_rows() -> None:
    def shapes(count: int) -> set[Any]:
        transmissions: list[Transmission] = []
        many = [Secret(seed, count) for seed in range(3)]
        rounds.run(make(3), many, observe=transmissions.append)
        found = set()
        for crossing in transmissions:
            if crossing.to_client:
                continue
            content = message_from_proto(WireMessage.FromString(crossing.wire)).content
            assert not content.config_records
            for name, record in content.array_records.items():
                found |= {(crossing.message_type, name, key, tuple(a.shape)) for key, a in record.items()}
            for name, metrics in content.metric_records.items():
                assert all(isinstance(value, (int, float)) for value in metrics.values())
                found.add((crossing.message_type, name, tuple(sorted(metrics))))
        return found

    assert shapes(90) == shapes(900)
    assert ("evaluate", "arrays", "histogram", (2, HISTOGRAM_BINS)) in shapes(90)


def test_a_client_with_few_rows_does_not_take_part(sources: list[Secret]) -> None:
    members = [*sources, Secret(9, count=8)]
    done = rounds.run(make(4, min_examples=20), members)
    assert done.clients[3].train_failure == "TooFewExamples"
    assert done.clients[3].evaluate_failure == "TooFewExamples"
    assert done.metrics.clients_trained == 3


def test_a_feature_that_few_rows_have_is_omitted(sources: list[Secret]) -> None:
    """The sum of one value is that value."""
    rare = sources[0]
    lonely = rare.x[0, 1]
    rare.x[1:, 1] = np.nan
    transmissions: list[Transmission] = []
    rounds.run(make(3), sources, observe=transmissions.append)
    assert not any(lonely.tobytes() in crossing.wire for crossing in transmissions)


def test_each_node_reads_only_its_own_source(sources: list[Secret]) -> None:
    asked: list[int] = []

    class Watched:
        def __init__(self, position: int) -> None:
            self.position = position

        def train(self) -> Examples:
            asked.append(self.position)
            return sources[self.position].train()

        holdout = train

    watched = [Watched(position) for position in range(3)]
    grid = InProcessGrid(client_app(watched, make(3)), ["a", "b", "c"])
    with rounds._flower_run():
        node = list(grid.get_node_ids())[1]
        list(grid.send_and_receive([Message(RecordDict(), node, "query.moments")]))
    assert asked == [1]


def test_the_error_for_a_lost_quorum_quotes_no_row() -> None:
    class Talkative:
        def train(self) -> Examples:
            raise ValueError("patient 0815 has age 'unknown'")

        holdout: Callable[[], Examples] = train

    with pytest.raises(QuorumLost) as caught:
        rounds.run(make(2), [Talkative(), Talkative()])
    assert "0815" not in str(caught.value)
    assert "ValueError" in str(caught.value)
