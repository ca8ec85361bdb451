"""An in-process Flower Grid: messages are serialized as on the network, and delivered by a function call.

Flower's own simulation polls a state store and starts Ray, which only adds waiting time for clients in one process.
This grid encodes every message to protobuf and decodes it again. Clients therefore can't access the server's arrays,
and an observer sees everything that is exchanged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Thread
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import NUM_PARTITIONS_KEY, PARTITION_ID_KEY, SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from flwr.serverapp import Grid
from flwr.supercore.run import Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Transmission:
    """A message between server and client."""

    client: str
    to_client: bool
    message_type: str
    wire: bytes
    """The whole message in Flower's network format."""


@dataclass(slots=True)
class Traffic:
    """Bytes sent to and received from one client."""

    sent: int = 0
    received: int = 0


@dataclass(slots=True)
class _Delivery:
    node_id: int
    wire: bytes
    started: float
    reply: bytes | None = None
    thread: Thread | None = None


@dataclass(slots=True)
class _Node:
    name: str
    context: Context
    traffic: Traffic = field(default_factory=Traffic)
    thread: Thread | None = None


class InProcessGrid(Grid):
    """Delivers messages to the `ClientApp` of each named client in this process.

    If a client raises an error or exceeds `client_timeout_seconds`, its reply is an error reply and the run continues.
    Without a timeout, clients run one after another in the caller's thread; with a timeout, they run concurrently.
    Replies are in the order of the clients, so that sums over them are reproducible.
    """

    def __init__(
        self,
        app: ClientApp,
        clients: Sequence[str],
        *,
        run_id: int = 1,
        client_timeout_seconds: float | None = None,
        observe: Callable[[Transmission], None] | None = None,
    ) -> None:
        self._app = app
        self._run = Run.create_empty(run_id)
        self._timeout = client_timeout_seconds
        self._observe = observe
        self._deliveries: dict[str, _Delivery] = {}
        self._nodes = {
            SUPERLINK_NODE_ID + 1 + partition: _Node(name, _context(run_id, partition, len(clients)))
            for partition, name in enumerate(clients)
        }

    @property
    def names(self) -> Mapping[int, str]:
        """Client name by node id."""
        return {node_id: node.name for node_id, node in self._nodes.items()}

    @property
    def traffic(self) -> Mapping[str, Traffic]:
        """Bytes by client name since the grid was created."""
        return {node.name: node.traffic for node in self._nodes.values()}

    def set_run(self, run: Run) -> None:
        """Replaces the run that this grid serves."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run that this grid serves."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Creates a message for one client."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Returns the ids of all clients in their original order."""
        return list(self._nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Sends messages. With a timeout, the clients start immediately."""
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Returns the available replies. A client that exceeded its timeout has an error reply."""
        pending = [(key, self._deliveries[key]) for key in set(message_ids) if key in self._deliveries]
        replies = []
        for key, delivery in sorted(pending, key=lambda item: item[1].node_id):
            if delivery.thread is None and delivery.reply is None:
                delivery.reply = self._answer(delivery)
            if delivery.reply is None and self._expired(delivery):
                delivery.reply = self._failure(delivery, ErrorCode.NODE_UNAVAILABLE, f"no reply in {self._timeout} s")
            if delivery.reply is not None:
                del self._deliveries[key]
                replies.append(self._receive(delivery.node_id, delivery.reply))
        return replies

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Sends messages and waits up to `timeout` seconds for the replies. Late replies are omitted."""
        keys = list(self.push_messages(messages))
        if self._timeout is not None:
            limit = self._timeout if timeout is None else min(timeout, self._timeout)
            deadline = time.monotonic() + limit
            for thread in [self._deliveries[key].thread for key in keys]:
                if thread is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
        return self.pull_messages(keys)

    def _push(self, message: Message) -> str:
        key = str(uuid4())
        message.metadata.__dict__["_message_id"] = key  # read-only in Flower's API; Flower's own grids set it like this
        wire = _encode(message)
        node_id = message.metadata.dst_node_id
        node = self._nodes[node_id]
        node.traffic.sent += len(wire)
        self._notify_observer(node, to_client=True, message=message, wire=wire)
        delivery = self._deliveries[key] = _Delivery(node_id, wire, time.monotonic())
        if self._timeout is not None:
            self._start(node, delivery)
        return key

    def _start(self, node: _Node, delivery: _Delivery) -> None:
        if node.thread is not None and node.thread.is_alive():
            delivery.reply = self._failure(delivery, ErrorCode.NODE_UNAVAILABLE, "still busy with an earlier message")
            return

        def answer() -> None:
            delivery.reply = self._answer(delivery)

        # A daemon thread, so that a client that doesn't return can't prevent the process from exiting.
        node.thread = delivery.thread = Thread(target=answer, name=f"client-{node.name}", daemon=True)
        node.thread.start()

    def _expired(self, delivery: _Delivery) -> bool:
        return self._timeout is not None and time.monotonic() - delivery.started >= self._timeout

    def _answer(self, delivery: _Delivery) -> bytes:
        node = self._nodes[delivery.node_id]
        try:
            return _encode(self._app(_decode(delivery.wire), node.context))
        except Exception as error:
            # A failing client must not stop the run. The text of an exception may quote a row, so only its type is
            # sent; the details stay in the local log.
            logger.warning("Client %s failed: %s", node.name, type(error).__name__)
            logger.debug("Client %s failed", node.name, exc_info=True)
            return self._failure(delivery, ErrorCode.CLIENT_APP_RAISED_EXCEPTION, type(error).__name__)

    def _failure(self, delivery: _Delivery, code: int, reason: str) -> bytes:
        return _encode(Message(Error(code, reason), reply_to=_decode(delivery.wire)))

    def _receive(self, node_id: int, wire: bytes) -> Message:
        node = self._nodes[node_id]
        node.traffic.received += len(wire)
        message = _decode(wire)
        self._notify_observer(node, to_client=False, message=message, wire=wire)
        return message

    def _notify_observer(self, node: _Node, *, to_client: bool, message: Message, wire: bytes) -> None:
        if self._observe is not None:
            self._observe(Transmission(node.name, to_client, message.metadata.message_type, wire))


def _encode(message: Message) -> bytes:
    wire: bytes = message_to_proto(message).SerializeToString()
    return wire


def _decode(wire: bytes) -> Message:
    return message_from_proto(WireMessage.FromString(wire))


def _context(run_id: int, partition: int, partitions: int) -> Context:
    return Context(
        run_id=run_id,
        node_id=SUPERLINK_NODE_ID + 1 + partition,
        node_config={PARTITION_ID_KEY: partition, NUM_PARTITIONS_KEY: partitions},
        state=RecordDict(),
        run_config={},
    )
