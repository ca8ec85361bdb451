from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from federated.grid import InProcessGrid, Transmission


@pytest.fixture(autouse=True)
def identity() -> Iterator[None]:
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
    yield
    for name in ("_run_id", "_task_id", "_node_id"):
        setattr(TaskIdentity, name, None)


def instruct(grid: InProcessGrid) -> list[Message]:
    content = RecordDict({"arrays": ArrayRecord({"w": Array(np.arange(3.0))})})
    return [Message(content, node, "train") for node in grid.get_node_ids()]


def partition(context: Context) -> int:
    value = context.node_config["partition-id"]
    assert isinstance(value, int)
    return value


def echo() -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return Message(RecordDict({"metrics": MetricRecord({"partition": partition(context)})}), reply_to=message)

    return app


def test_each_client_has_its_own_partition_and_replies_are_in_order() -> None:
    grid = InProcessGrid(echo(), ["a", "b", "c"])
    replies = list(grid.send_and_receive(reversed(instruct(grid))))
    assert [grid.names[reply.metadata.src_node_id] for reply in replies] == ["a", "b", "c"]
    assert [reply.content.metric_records["metrics"]["partition"] for reply in replies] == [0, 1, 2]
    assert all(reply.metadata.reply_to_message_id for reply in replies)


def test_messages_can_be_pushed_and_replies_pulled_separately() -> None:
    grid = InProcessGrid(echo(), ["a", "b"])
    keys = list(grid.push_messages(instruct(grid)))
    assert len(list(grid.pull_messages(keys[:1]))) == 1
    assert len(list(grid.pull_messages(keys))) == 1
    assert list(grid.pull_messages(keys)) == []


def test_a_client_cannot_change_the_servers_arrays() -> None:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        message.content["stolen"] = MetricRecord({"x": 1})
        del message.content["arrays"]
        return Message(RecordDict(), reply_to=message)

    grid = InProcessGrid(app, ["a", "b"])
    messages = instruct(grid)
    assert not any(reply.has_error() for reply in grid.send_and_receive(messages))
    assert list(messages[0].content) == ["arrays"]


def test_clients_keep_their_state_between_messages() -> None:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        seen = context.state.metric_records.setdefault("seen", MetricRecord({"count": 0}))
        seen["count"] = int(seen["count"]) + 1  # type: ignore[arg-type]
        return Message(RecordDict({"seen": seen}), reply_to=message)

    grid = InProcessGrid(app, ["a", "b"])
    for expected in (1, 2):
        replies = list(grid.send_and_receive(instruct(grid)))
        assert [reply.content.metric_records["seen"]["count"] for reply in replies] == [expected, expected]


def test_an_exception_becomes_an_error_reply_without_its_text() -> None:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        if partition(context) == 1:
            raise ValueError("row 17: Ms Rivera, seat 4C")
        return Message(RecordDict(), reply_to=message)

    transmissions: list[Transmission] = []
    grid = InProcessGrid(app, ["a", "b"], observe=transmissions.append)
    good, bad = grid.send_and_receive(instruct(grid))
    assert good.has_content()
    assert bad.error.reason == "ValueError"
    assert not any(b"Rivera" in crossing.wire for crossing in transmissions)


def test_a_reply_that_is_not_a_message_is_an_error() -> None:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return None  # type: ignore[return-value]

    grid = InProcessGrid(app, ["a"])
    assert [reply.has_error() for reply in grid.send_and_receive(instruct(grid))] == [True]


def test_a_slow_client_times_out_and_is_busy_until_it_ends() -> None:
    release = threading.Event()
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        if partition(context) == 1:
            release.wait(120)
        return Message(RecordDict(), reply_to=message)

    grid = InProcessGrid(app, ["a", "slow", "c"], client_timeout_seconds=2.0)
    replies = list(grid.send_and_receive(instruct(grid)))
    assert [reply.has_error() for reply in replies] == [False, True, False]
    assert replies[1].error.reason == "no reply in 2.0 s"
    again = list(grid.send_and_receive(instruct(grid)))
    assert again[1].error.reason == "still busy with an earlier message"
    release.set()
    deadline = time.monotonic() + 60
    while list(grid.send_and_receive(instruct(grid)))[1].has_error():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_traffic_counts_the_bytes_of_messages() -> None:
    transmissions: list[Transmission] = []
    grid = InProcessGrid(echo(), ["a", "b"], observe=transmissions.append)
    list(grid.send_and_receive(instruct(grid)))
    for name in ("a", "b"):
        assert grid.traffic[name].sent == sum(len(c.wire) for c in transmissions if c.client == name and c.to_client)
        assert grid.traffic[name].received == sum(
            len(c.wire) for c in transmissions if c.client == name and not c.to_client
        )
        assert grid.traffic[name].received > 0
