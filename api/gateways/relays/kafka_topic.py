"""A topic of Kafka: CloudEvents in binary mode, keyed by subject, so that events of one thing stay in order."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from core.errors import InvalidArgument, PayloadTooLarge, Unavailable
from core.events import Recorded

_DELIVERY_SECONDS = 8.0
"""Less than the relay waits, so that the client says why, and gives the event up before it comes again."""

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_log = logging.getLogger("headwater.outbox")


class KafkaTopic:
    """Produces to one topic: idempotent, and acknowledged by all replicas in sync."""

    name = "Kafka"

    def __init__(self, url: SplitResult, topic: str) -> None:
        """`url`: `kafka://[user:password@]host:port[,host:port...]`, or `kafkas://` by TLS.

        Options are `mechanism`, how to log in, and `ssl_ca_certs`, a file of the authorities to trust.

        Raises:
            InvalidArgument: the URL says something else.
        """
        self._settings = _settings(url)
        self._topic = topic
        self._producer: Producer | None = None
        self._cause = ""

    async def publish(self, item: Recorded) -> None:
        """Produces the event; returns when Kafka has it.

        Raises:
            Unavailable: Kafka did not take it in time, or at all.
            PayloadTooLarge: Kafka takes no event as large as this.
        """
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[KafkaError | None] = loop.create_future()

        def settle(error: KafkaError | None) -> None:
            if not taken.done():
                taken.set_result(error)

        def delivered(error: KafkaError | None, message: Message) -> None:
            loop.call_soon_threadsafe(settle, error)

        headers, value = binary(item)
        key = item.event.subject.encode()
        try:
            self._opened().produce(self._topic, value, key, on_delivery=delivered, headers=headers)
        except BufferError:
            raise Unavailable("Kafka does not take events as fast as they come.") from None
        except KafkaException as error:
            raise self._refused(error.args[0]) from None
        if (failed := await taken) is not None:
            raise self._refused(failed)
        self._cause = ""

    async def check(self) -> None:
        """Raises `Unavailable` unless Kafka answers and lets us in."""
        try:
            await asyncio.to_thread(self._opened().list_topics, self._topic, _DELIVERY_SECONDS)
        except KafkaException as error:
            raise self._refused(error.args[0]) from None

    async def close(self) -> None:
        """Closes the connections. What was not acknowledged comes again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(_end, producer)

    def _opened(self) -> Producer:
        if self._producer is None:
            self._producer = Producer({**self._settings, "error_cb": self._noticed}, logger=_log)
            threading.Thread(target=self._poll, args=(self._producer,), name="headwater-kafka", daemon=True).start()
        return self._producer

    def _poll(self, producer: Producer) -> None:
        """Calls the callbacks, in a thread: the client has no other way to tell."""
        while self._producer is producer:
            producer.poll(0.1)

    def _noticed(self, error: KafkaError) -> None:
        """Keeps why the connection fails: the event itself is only said to be late."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # it follows from the others and says less
            self._cause = error.str()

    def _refused(self, error: KafkaError) -> Unavailable | PayloadTooLarge:
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE):
            return PayloadTooLarge("Kafka takes no event as large as this.")
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._producer = None  # it would refuse everything from now on
        late = error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)
        cause = (self._cause if late else "") or error.str()
        return Unavailable(f"Kafka did not take the event: {cause[:300]}")


def _end(producer: Producer) -> None:
    producer.purge()
    producer.flush(1.0)


def binary(item: Recorded) -> tuple[list[tuple[str, str | bytes | None]], bytes]:
    """Headers and value of an event in the binary mode of the CloudEvents Kafka protocol binding."""
    event = item.to_cloudevent()
    value = json.dumps(event.pop("data"), separators=(",", ":")).encode()
    headers: list[tuple[str, str | bytes | None]] = [("content-type", event.pop("datacontenttype"))]
    headers += [(f"ce_{name}", text.encode()) for name, text in event.items()]
    return headers, value


def _settings(url: SplitResult) -> dict[str, Any]:
    """Settings of librdkafka."""
    options = parse_qs(url.query)
    if options.keys() - {"mechanism", "ssl_ca_certs"} or url.path.strip("/"):
        raise InvalidArgument("HEADWATER_EVENTS_URL of Kafka takes the options mechanism and ssl_ca_certs only.")
    _, _, servers = url.netloc.rpartition("@")
    secure = url.scheme == "kafkas"
    settings: dict[str, Any] = {
        "bootstrap.servers": servers,
        "client.id": "headwater",
        "security.protocol": "SSL" if secure else "PLAINTEXT",
        "enable.idempotence": True,
        "acks": "all",
        # As the clients in Java do: a consumer that joins our topic with another finds the keys side by side.
        "partitioner": "murmur2_random",
        "linger.ms": 0,
        "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
        "reconnect.backoff.max.ms": 1000,
        # One line per try to connect would drown the rest; what matters is in the errors.
        "log_level": 2,
    }
    if authorities := options.get("ssl_ca_certs"):
        settings["ssl.ca.location"] = authorities[0]
    if not url.username:
        return settings
    mechanism = options.get("mechanism", ["PLAIN"])[0]
    if mechanism not in _MECHANISMS:
        raise InvalidArgument(f"The mechanism in HEADWATER_EVENTS_URL must be one of {', '.join(_MECHANISMS)}.")
    return settings | {
        "security.protocol": "SASL_SSL" if secure else "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": unquote(url.username),
        "sasl.password": unquote(url.password or ""),
    }
