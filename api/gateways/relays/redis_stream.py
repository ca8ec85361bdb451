"""A stream of Redis: one entry per event, with the whole CloudEvent as JSON in its field `event`."""

from __future__ import annotations

import json

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.typing import EncodableT, FieldT

from core.errors import InvalidArgument, Unavailable
from core.events import Recorded

_ANSWER_SECONDS = 5.0


class RedisStream:
    """Adds to the end of one stream, which it keeps at about a number of entries."""

    name = "Redis"

    def __init__(self, url: str, stream: str, kept: int) -> None:
        """`url`: as redis-py reads it, with the number of the database and options of the connection.

        Raises:
            InvalidArgument: the URL cannot be read, or nothing would be kept.
        """
        if kept < 1:
            raise InvalidArgument("HEADWATER_EVENTS_KEPT must be at least 1.")
        self._stream = stream
        self._kept = kept
        try:
            self._client = Redis.from_url(
                url,
                socket_timeout=_ANSWER_SECONDS,
                socket_connect_timeout=_ANSWER_SECONDS,
                # Once again: a connection that was kept may have been closed by the other side.
                retry=Retry(NoBackoff(), 1),
            )
        except (ValueError, TypeError):
            # What is wrong in it stays out, for it may be the password.
            raise InvalidArgument("HEADWATER_EVENTS_URL is no address of Redis that its client can read.") from None

    async def publish(self, item: Recorded) -> None:
        """Adds the event; returns when Redis has it. Raises `Unavailable`."""
        event = json.dumps(item.to_cloudevent(), separators=(",", ":"))
        entry: dict[FieldT, EncodableT] = {"content-type": "application/cloudevents+json", "event": event}
        try:
            await self._client.xadd(self._stream, entry, maxlen=self._kept, approximate=True)
        except (RedisError, OSError) as error:
            raise _away(error) from None

    async def check(self) -> None:
        """Raises `Unavailable` unless Redis answers and lets us in."""
        try:
            await self._client.xlen(self._stream)
        except (RedisError, OSError) as error:
            raise _away(error) from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _away(error: Exception) -> Unavailable:
    if isinstance(error, AuthenticationError):
        return Unavailable("Redis refused the user and password of HEADWATER_EVENTS_URL.")
    if isinstance(error, ResponseError):
        # Its code only (WRONGTYPE, READONLY...): the rest may repeat what was sent, the password too.
        code = str(error).partition(" ")[0]
        return Unavailable(f"Redis did not take the event ({code if code.isupper() else type(error).__name__}).")
    why = error.__cause__ or error.__context__ or error  # "ConnectionError" alone says little
    return Unavailable(f"Redis does not answer ({type(why).__name__}).")
