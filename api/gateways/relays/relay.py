"""A relay, which sends every event to a broker: a consumer of the outbox that waits until the broker is available."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from api.kernel.breakers import Dependency
from api.kernel.outbox.subscriber import Subscriber
from core.errors import InvalidArgument, Unavailable
from core.events import RecordedEvent
from core.settings import Settings

PUBLISH_SECONDS = 10.0
OPEN_SECONDS = 2.0
"""Time without calls after failures. It is short because only the outbox waits for the broker."""

_MAX_TOPIC_LENGTH = 100


class Broker(Protocol):
    """A message broker. Its errors contain no secrets."""

    name: str
    """Name for messages: `Redis` or `Kafka`."""

    async def publish(self, item: RecordedEvent) -> None:
        """Sends an event. Returns when the broker has acknowledged it.

        Raises:
            Unavailable: the broker did not acknowledge the event.
            PayloadTooLarge: the event is too large for the broker.
        """

    async def check(self) -> None:
        """Checks the connection and the login. Raises `Unavailable` if they fail."""

    async def close(self) -> None:
        """Closes the connections."""


class Relay:
    """A broker with its circuit breaker."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.broker = broker
        self.dependency = Dependency(
            broker.name,
            timeout_seconds=PUBLISH_SECONDS,
            is_failure=lambda error: isinstance(error, Unavailable),
            open_seconds=OPEN_SECONDS,
        )
        # The cursor has this name: it remains if the address of a broker changes, but another topic has a new cursor.
        self.subscriber = Subscriber(f"{broker.name.lower()}:{topic}", ("*",), self._publish, blocks=True)

    async def start(self) -> None:
        """Does nothing: the process that dispatches events connects on the first event."""

    async def stop(self) -> None:
        """Closes the connections."""
        await self.broker.close()

    async def _publish(self, item: RecordedEvent) -> None:
        try:
            # Not retried here, because the outbox retries.
            await self.dependency.call(lambda: self.broker.publish(item), idempotent=False)
        except TimeoutError:
            raise Unavailable(f"{self.broker.name} did not respond within {PUBLISH_SECONDS:g} seconds.") from None


def open_relay(settings: Settings) -> Relay | None:
    """Returns the relay of the settings, or `None` without `events_url`.

    Raises:
        InvalidArgument: the URL is not valid, or its client is not installed.
    """
    if not settings.events_url:
        return None
    if not 0 < len(settings.events_topic) <= _MAX_TOPIC_LENGTH:
        raise InvalidArgument(f"HEADWATER_EVENTS_TOPIC must have 1 to {_MAX_TOPIC_LENGTH} characters.")
    try:
        return Relay(_broker(settings, _parsed(settings.events_url)), settings.events_topic)
    except ModuleNotFoundError as error:
        name = (error.name or "").replace("_", "-")
        raise InvalidArgument(f"HEADWATER_EVENTS_URL needs the package {name}, which is not installed.") from error


def _broker(settings: Settings, url: SplitResult) -> Broker:
    # The clients are optional packages.
    if url.scheme in ("redis", "rediss"):
        from api.gateways.relays.redis_stream import RedisStream

        return RedisStream(settings.events_url, settings.events_topic, settings.events_kept)
    if url.scheme in ("kafka", "kafkas"):
        from api.gateways.relays.kafka_topic import KafkaTopic

        return KafkaTopic(url, settings.events_topic)
    raise InvalidArgument("HEADWATER_EVENTS_URL must begin with redis://, rediss://, kafka:// or kafkas://.")


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if not parts.hostname:
        # The URL is not included, because it may contain a password.
        raise InvalidArgument("HEADWATER_EVENTS_URL must be a URL such as redis://host:6379 or kafka://host:9092.")
    return parts
