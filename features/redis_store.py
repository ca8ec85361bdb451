"""The online store in Redis, which several machines can share.

The rows of a version are one hash. A key names the hash that is served, so that a write switches all rows at once.
Scripts read and switch, so that no answer mixes two versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

import msgspec

from core.errors import InvalidArgument, Unavailable
from core.ids import new_id
from features.online import Found, OnlineRow, Served, served_of, superseded

_TIMEOUT_SECONDS = 5.0
_FAILURES, _OPEN_SECONDS = 5, 10.0
"""Number of failures in a row after which calls are refused, and for how long."""

_ABANDONED_SECONDS = 86_400
"""Time after which Redis removes the rows of a write that was interrupted."""

_READ = """
local current = redis.call('GET', KEYS[1])
if not current then return false end
local answer = {redis.call('GET', KEYS[2] .. current .. ':served')}
if #ARGV > 0 then
  answer[2] = redis.call('HMGET', KEYS[2] .. current, unpack(ARGV))
  answer[3] = redis.call('HMGET', KEYS[3], unpack(ARGV))
end
return answer
"""
_SWITCH = """
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
local before = redis.call('GET', KEYS[1])
if before and redis.call('GET', KEYS[2] .. before .. ':table') == ARGV[2]
   and tonumber(redis.call('GET', KEYS[2] .. before .. ':version')) > tonumber(ARGV[3]) then return 2 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[4])
for _, suffix in ipairs({'', ':served', ':table', ':version'}) do
  redis.call('PERSIST', KEYS[2] .. ARGV[1] .. suffix)
  if before then redis.call('UNLINK', KEYS[2] .. before .. suffix) end
end
local pushed = redis.call('HGETALL', KEYS[3])
for i = 1, #pushed, 2 do
  if tonumber(string.match(pushed[i + 1], '^%-?%d+:(%d+):')) <= tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[3], pushed[i])
  end
end
return 1
"""
_PUSH = """
local number = redis.call('INCR', KEYS[2])
local kept = 0
for i = 1, #ARGV, 3 do
  local before = redis.call('HGET', KEYS[1], ARGV[i])
  if not before or tonumber(string.match(before, '^(%-?%d+):')) <= tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ':' .. number .. ':' .. ARGV[i + 2])
    kept = kept + 1
  end
end
return kept
"""
_ROWS = msgspec.msgpack.Decoder(list[tuple[int, bytes]])
_REMOVE = """
local current = redis.call('GET', KEYS[1])
if not current or redis.call('GET', KEYS[2] .. current .. ':served') ~= ARGV[1] then return 0 end
for _, suffix in ipairs({'', ':served', ':table', ':version'}) do redis.call('UNLINK', KEYS[2] .. current .. suffix) end
redis.call('UNLINK', KEYS[1], KEYS[3])
return 1
"""
_REPLACE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
"""
_READ_KEYS = 1_000
"""Number of keys in one call: Lua takes a limited number of arguments."""


class RedisStore:
    """Online rows in Redis. Threads and processes can use it at the same time.

    Args:
        url: URL in the format of redis-py.

    Raises:
        InvalidArgument: the URL is not valid.
    """

    def __init__(self, url: str) -> None:
        from pybreaker import CircuitBreaker
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._breaker = CircuitBreaker(
            fail_max=_FAILURES, reset_timeout=_OPEN_SECONDS, throw_new_error_on_trip=False, name="online store"
        )
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
            raise InvalidArgument("HEADWATER_ONLINE_STORE_URL is not a valid Redis URL.") from None

    def at_once(self) -> None:
        """Returns `None`: an answer takes a round trip."""

    def served(self, asset: str) -> Served | None:
        """Returns the version that is served, or `None` before the first write."""
        found = self.read(asset, [])
        return found.served if found else None

    def read(self, asset: str, keys: Sequence[bytes]) -> Found | None:
        """Returns the rows of entities, all from one version, or `None` before the first write."""
        for _ in range(3):
            answers = []
            for start in range(0, max(len(keys), 1), _READ_KEYS):
                part = list(keys[start : start + _READ_KEYS])
                answers.append((part, self._run("eval", _READ, 3, *_names(asset)[:3], *part)))
            if any(answer is None for _, answer in answers):
                return None
            if len({answer[0] for _, answer in answers}) == 1:
                return _found(answers)
        raise Unavailable(f"The online rows of {asset} change faster than they can be read. Try again.")

    def write(self, asset: str, served: Served, batches: Iterator[list[tuple[bytes, OnlineRow]]]) -> bool:
        """Replaces the rows by those of a version, all at once. Raises and returns as `OnlineStore.write`."""
        current, versions, pushed, writing = _names(asset)
        generation = new_id("onl")
        until = int(self._run("get", f"{pushed}:number") or 0)
        self._run("set", writing, generation, ex=_ABANDONED_SECONDS)
        target = f"{versions}{generation}"
        self._run("set", f"{target}:served", msgspec.msgpack.encode(served), ex=_ABANDONED_SECONDS)
        self._run("set", f"{target}:table", served.table_id, ex=_ABANDONED_SECONDS)
        self._run("set", f"{target}:version", served.table_version, ex=_ABANDONED_SECONDS)
        for batch in batches:
            fields: dict[bytes, bytes] = {}
            for key, rows in groupby(batch, key=lambda one: one[0]):
                fields[key] = msgspec.msgpack.encode([(row.event_at, row.values) for _, row in rows])
            self._run("hset", target, mapping=fields)
            self._run("expire", target, _ABANDONED_SECONDS)
        names = (current, versions, pushed, writing)
        outcome = self._run("eval", _SWITCH, 4, *names, generation, served.table_id, served.table_version, until)
        if outcome == 0:
            raise superseded(asset)
        return bool(outcome == 1)

    def push(self, asset: str, rows: Sequence[tuple[bytes, OnlineRow]]) -> int:
        """Adds rows to what is served. Of each entity, the newest counts. Returns the number of stored rows."""
        pushed = _names(asset)[2]
        arguments: list[Any] = []
        for key, row in rows:
            arguments += [key, row.event_at, msgspec.msgpack.encode((row.values, row.source))]
        return int(self._run("eval", _PUSH, 2, pushed, f"{pushed}:number", *arguments))

    def assets(self) -> list[str]:
        """Returns the ids of the assets of which rows are stored."""
        found: set[str] = set()
        cursor = 0
        while True:
            cursor, names = self._run("scan", cursor, match=_names("*")[0], count=1_000)
            found.update(name.decode().partition("{")[2].partition("}")[0] for name in names)
            if not cursor:
                return sorted(found)

    def remove(self, asset: str, served: Served) -> bool:
        """Removes all rows of an asset, if this version is still served. Returns whether it was."""
        return bool(self._run("eval", _REMOVE, 3, *_names(asset)[:3], msgspec.msgpack.encode(served)))

    def expire(self, asset: str, before: int) -> int:
        """Deletes rows whose event time is before a moment. Returns their number, with pushed rows."""
        current, versions, pushed, _ = _names(asset)
        deleted = self._expire(pushed, before, _unexpired_push)
        if generation := self._run("get", current):
            deleted += self._expire(f"{versions}{generation.decode()}", before, _unexpired_rows)
        return deleted

    def _expire(self, name: str, before: int, unexpired: Callable[[bytes, int], tuple[bytes, int]]) -> int:
        """Deletes rows from a hash, unless they were replaced meanwhile."""
        deleted, cursor = 0, 0
        while True:
            cursor, found = self._run("hscan", name, cursor, count=1_000)
            for key, content in found.items():
                rest, count = unexpired(content, before)
                if count and self._run("eval", _REPLACE, 1, name, key, content, rest):
                    deleted += count
            if not cursor:
                return deleted

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _run(self, command: str, *arguments: Any, **options: Any) -> Any:
        from pybreaker import CircuitBreakerError
        from redis.exceptions import RedisError

        try:
            if self._breaker.current_state == "open":
                self._breaker.call(self._client.ping)  # refused, or the trial after some time
            answer = getattr(self._client, command)(*arguments, **options)
        except CircuitBreakerError:
            raise Unavailable(
                "The online store in Redis failed several times, so calls are refused for a moment.",
                retry_after_seconds=int(_OPEN_SECONDS),
            ) from None
        except (RedisError, OSError) as error:
            with suppress(RedisError, OSError, CircuitBreakerError):
                self._breaker.call(_fail, error)
            # Not the message, which may repeat the command or the password.
            raise Unavailable(
                f"The online store in Redis does not respond ({type(error).__name__}). Check that Redis runs and that "
                "HEADWATER_ONLINE_STORE_URL names it, then try again."
            ) from None
        if self._breaker.fail_counter:
            self._breaker.call(lambda: None)
        return answer


def _fail(error: Exception) -> None:
    """Raises an error, so that the breaker counts it. The breaker would hold its lock during a call."""
    raise error


def _names(asset: str) -> tuple[str, str, str, str]:
    """Returns the names of what is served, of versions, of pushed rows, and of the write in progress.

    The braces keep them on one machine of a cluster.
    """
    root = f"headwater:online:{{{asset}}}"
    return f"{root}:current", f"{root}:version:", f"{root}:pushed", f"{root}:writing"


def _unexpired_rows(content: bytes, before: int) -> tuple[bytes, int]:
    """Returns the rows of an entity from a moment on, empty if there are none, and the number of the others."""
    rows = _ROWS.decode(content)
    rest = [row for row in rows if row[0] >= before]
    return msgspec.msgpack.encode(rest) if rest else b"", len(rows) - len(rest)


def _unexpired_push(content: bytes, before: int) -> tuple[bytes, int]:
    expired = int(content.partition(b":")[0]) < before
    return (b"", 1) if expired else (content, 0)


def _found(answers: Sequence[tuple[list[bytes], Any]]) -> Found:
    rows: dict[bytes, list[OnlineRow]] = {}
    for part, answer in answers:
        if not part:
            continue
        for key, stored, pushed in zip(part, answer[1], answer[2], strict=True):
            found = [OnlineRow(*row) for row in _ROWS.decode(stored)] if stored else []
            if pushed:
                event_at, _, content = pushed.split(b":", 2)
                values, source = msgspec.msgpack.decode(content)
                found.append(OnlineRow(int(event_at), values, source))
            if found:
                rows[key] = found
    return Found(served_of(answers[0][1][0]), rows)
