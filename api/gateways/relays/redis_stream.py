"""A Redis stream with one entry per event. The field `event` contains the CloudEvent as JSON."""

from __future__ import annotations

import json

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.typing import EncodableT, FieldT

from core.errors import InvalidArgument, Unavailable
from core.events import RecordedEvent

_TIMEOUT_SECONDS = 5.0


class RedisStream:
    """A stream that is trimmed to approximately a number of entries.

    Args:
        url: URL in the format of redis-py, with the number of the database and options of the connection.
        stream: name of the stream.
        max_entries: number of entries.

    Raises:
        InvalidArgument: the URL is not valid, or the number of entries is below 1.
    """

    name = "Redis"

    def __init__(self, url: str, stream: str, max_entries: int) -> None:
        if max_entries < 1:
            raise InvalidArgument("HEADWATER_EVENTS_KEPT must be at least 1.")
        self._stream = stream
        self._max_entries = max_entries
        try:
            self._client = Redis.from_url(
                url,
                socket_timeout=_TIMEOUT_SECONDS,
                socket_connect_timeout=_TIMEOUT_SECONDS,
                # One retry, because Redis may have closed a pooled connection.
                retry=Retry(NoBackoff(), 1),
            )
        except (ValueError, TypeError):
            # The detail of the error is not included, because it may contain the password.
            raise InvalidArgument("HEADWATER_EVENTS_URL is not a valid Redis URL.") from None

    async def publish(self, item: RecordedEvent) -> None:
        """Adds an event. Returns when Redis has stored it, and raises `Unavailable` if it does not."""
        event = json.dumps(item.to_cloudevent(), separators=(",", ":"))
        entry: dict[FieldT, EncodableT] = {"content-type": "application/cloudevents+json", "event": event}
        try:
            await self._client.xadd(self._stream, entry, maxlen=self._max_entries, approximate=True)
        except (RedisError, OSError) as error:
            raise _unavailable(error) from None

    async def check(self) -> None:
        """Checks the connection and the login. Raises `Unavailable` if they fail."""
        try:
            await self._client.xlen(self._stream)
        except (RedisError, OSError) as error:
            raise _unavailable(error) from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _unavailable(error: Exception) -> Unavailable:
    if isinstance(error, AuthenticationError):
        return Unavailable("Redis refused the user and password of HEADWATER_EVENTS_URL.")
    if isinstance(error, ResponseError):
        # Only the code, such as WRONGTYPE or READONLY: the message may repeat the command, including the password.
        code = str(error).partition(" ")[0]
        return Unavailable(f"Redis did not accept the event ({code if code.isupper() else type(error).__name__}).")
    cause = error.__cause__ or error.__context__ or error  # more specific than `ConnectionError`
    return Unavailable(f"Redis does not respond ({type(cause).__name__}).")
