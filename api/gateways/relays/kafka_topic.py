"""A Kafka topic of CloudEvents in binary mode. The key is the subject, so that events of one subject stay in order."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from core.errors import InvalidArgument, PayloadTooLarge, Unavailable
from core.events import RecordedEvent

_DELIVERY_SECONDS = 8.0
"""Less than the timeout of the relay, so that the client reports the cause and drops the event before it is retried."""

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_log = logging.getLogger("headwater.outbox")


class KafkaTopic:
    """An idempotent producer for one topic, with acknowledgment by all in-sync replicas.

    Args:
        url: `kafka://[user:password@]host:port[,host:port...]`, or `kafkas://` for TLS. Options are `mechanism`, the
            SASL mechanism, and `ssl_ca_certs`, a file with trusted certificate authorities.
        topic: the topic.

    Raises:
        InvalidArgument: the URL is not valid.
    """

    name = "Kafka"

    def __init__(self, url: SplitResult, topic: str) -> None:

        self._settings = _settings(url)
        self._topic = topic
        self._producer: Producer | None = None
        self._cause = ""

    async def publish(self, item: RecordedEvent) -> None:
        """Produces an event. Returns when Kafka has acknowledged it.

        Raises:
            Unavailable: Kafka did not accept the event in time.
            PayloadTooLarge: Kafka does not accept an event of this size.
        """
        loop = asyncio.get_running_loop()
        delivery: asyncio.Future[KafkaError | None] = loop.create_future()

        def settle(error: KafkaError | None) -> None:
            if not delivery.done():
                delivery.set_result(error)

        def delivered(error: KafkaError | None, message: Message) -> None:
            loop.call_soon_threadsafe(settle, error)

        headers, value = binary(item)
        key = item.event.subject.encode()
        try:
            self._opened().produce(self._topic, value, key, on_delivery=delivered, headers=headers)
        except BufferError:
            raise Unavailable("The send queue of Kafka is full.") from None
        except KafkaException as error:
            raise self._refused(error.args[0]) from None
        if (failure := await delivery) is not None:
            raise self._refused(failure)
        self._cause = ""

    async def check(self) -> None:
        """Checks the connection and the login. Raises `Unavailable` if they fail."""
        try:
            await asyncio.to_thread(self._opened().list_topics, self._topic, _DELIVERY_SECONDS)
        except KafkaException as error:
            raise self._refused(error.args[0]) from None

    async def close(self) -> None:
        """Closes the connections. The outbox sends unacknowledged events again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(_end, producer)

    def _opened(self) -> Producer:
        if self._producer is None:
            self._producer = Producer({**self._settings, "error_cb": self._record_cause}, logger=_log)
            threading.Thread(target=self._poll, args=(self._producer,), name="headwater-kafka", daemon=True).start()
        return self._producer

    def _poll(self, producer: Producer) -> None:
        """Runs the callbacks in a thread, as the client requires."""
        while self._producer is producer:
            producer.poll(0.1)

    def _record_cause(self, error: KafkaError) -> None:
        """Records why the connection fails, because the error of an event is only a timeout."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # a consequence of the other errors
            self._cause = error.str()

    def _refused(self, error: KafkaError) -> Unavailable | PayloadTooLarge:
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE):
            return PayloadTooLarge("Kafka does not accept an event of this size.")
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._producer = None  # it would refuse all further events
        late = error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)
        cause = (self._cause if late else "") or error.str()
        return Unavailable(f"Kafka did not accept the event: {cause[:300]}")


def _end(producer: Producer) -> None:
    producer.purge()
    producer.flush(1.0)


def binary(item: RecordedEvent) -> tuple[list[tuple[str, str | bytes | None]], bytes]:
    """Returns headers and value of an event in the binary mode of the CloudEvents Kafka protocol binding."""
    event = item.to_cloudevent()
    value = json.dumps(event.pop("data"), separators=(",", ":")).encode()
    headers: list[tuple[str, str | bytes | None]] = [("content-type", event.pop("datacontenttype"))]
    headers += [(f"ce_{name}", text.encode()) for name, text in event.items()]
    return headers, value


def _settings(url: SplitResult) -> dict[str, Any]:
    """Returns the settings of librdkafka."""
    options = parse_qs(url.query)
    if options.keys() - {"mechanism", "ssl_ca_certs"} or url.path.strip("/"):
        raise InvalidArgument("HEADWATER_EVENTS_URL of Kafka has only the options mechanism and ssl_ca_certs.")
    _, _, servers = url.netloc.rpartition("@")
    secure = url.scheme == "kafkas"
    settings: dict[str, Any] = {
        "bootstrap.servers": servers,
        "client.id": "headwater",
        "security.protocol": "SSL" if secure else "PLAINTEXT",
        "enable.idempotence": True,
        "acks": "all",
        # The default of the Java clients, so that equal keys of other topics are in the same partition.
        "partitioner": "murmur2_random",
        "linger.ms": 0,
        "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
        "reconnect.backoff.max.ms": 1000,
        # Every connection attempt would log a line. The errors contain the cause.
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
