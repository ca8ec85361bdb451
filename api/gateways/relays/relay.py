"""Passes every event on to a broker: a consumer of the outbox that waits for as long as the broker is away."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from api.kernel.breakers import Dependency
from api.kernel.outbox.subscriber import Subscriber
from core.errors import InvalidArgument, Unavailable
from core.events import Recorded
from core.settings import Settings

PUBLISH_SECONDS = 10.0
OPEN_SECONDS = 2.0
"""How long a broker that failed is left alone. Short: the outbox looks whether it is back, and nobody else waits."""

_LONGEST_TOPIC = 100


class Broker(Protocol):
    """Where events go. Its errors hold no secret."""

    name: str
    """`Redis` or `Kafka`."""

    async def publish(self, item: Recorded) -> None:
        """Returns when the broker has the event.

        Raises:
            Unavailable: it did not take it, or did not say so, and would take no other.
            PayloadTooLarge: it takes others, but not this one.
        """

    async def check(self) -> None:
        """Raises `Unavailable` unless the broker answers and lets us in."""

    async def close(self) -> None:
        """Closes the connections."""


class Relay:
    """One broker behind its breaker."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.broker = broker
        self.dependency = Dependency(
            broker.name,
            timeout_seconds=PUBLISH_SECONDS,
            is_failure=lambda error: isinstance(error, Unavailable),
            open_seconds=OPEN_SECONDS,
        )
        # The cursor is kept under this name: another address of the same broker goes on, another topic begins anew.
        self.subscriber = Subscriber(f"{broker.name.lower()}:{topic}", ("*",), self._publish, waits=True)

    async def start(self) -> None:
        """Nothing yet: the process that dispatches connects when there is an event."""

    async def stop(self) -> None:
        """Closes the connections."""
        await self.broker.close()

    async def _publish(self, item: Recorded) -> None:
        try:
            # Not a second time here: the outbox does that.
            await self.dependency.call(lambda: self.broker.publish(item), idempotent=False)
        except TimeoutError:
            raise Unavailable(f"{self.broker.name} did not answer within {PUBLISH_SECONDS:g} seconds.") from None


def open_relay(settings: Settings) -> Relay | None:
    """The relay of these settings, or None without `events_url`.

    Raises:
        InvalidArgument: the URL cannot be used, or its client is not installed.
    """
    if not settings.events_url:
        return None
    if not 0 < len(settings.events_topic) <= _LONGEST_TOPIC:
        raise InvalidArgument(f"HEADWATER_EVENTS_TOPIC must have 1 to {_LONGEST_TOPIC} characters.")
    try:
        return Relay(_broker(settings, _parsed(settings.events_url)), settings.events_topic)
    except ModuleNotFoundError as error:
        name = (error.name or "").replace("_", "-")
        raise InvalidArgument(f"HEADWATER_EVENTS_URL needs the package {name}, which is not installed.") from error


def _broker(settings: Settings, url: SplitResult) -> Broker:
    # Optional packages: imported where they are wanted.
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
        # The address stays out: it may hold a password.
        raise InvalidArgument("HEADWATER_EVENTS_URL is no address such as redis://host:6379 or kafka://host:9092.")
    return parts
