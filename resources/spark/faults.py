"""Translates errors of Spark Connect to the platform's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import (
    ConstraintViolated,
    HeadwaterError,
    InvalidArgument,
    InvalidPayload,
    SchemaMismatch,
    StorageFull,
    Unavailable,
    UnknownColumn,
    WriteConflict,
)

REPEATED_KEY = "HEADWATER_REPEATED_KEY"
"""The message of a computation that fails because rows share a key."""

_CONNECTION_LOST = (
    "UNAVAILABLE",
    "failed to connect to all addresses",
    "Connection refused",
    "Connection reset",
    "Socket closed",
    "INVALID_HANDLE",
    "SESSION_CLOSED",
    "Stream removed",
)
_STORAGE_FULL = ("No space left on device", "Disk quota exceeded")
_BY_PATTERN: tuple[tuple[tuple[str, ...], type[HeadwaterError], str], ...] = (
    (("UNRESOLVED_COLUMN", "cannot resolve attribute"), UnknownColumn, "A column doesn't exist"),
    (("NOT_NULL_CONSTRAINT_VIOLATED",), ConstraintViolated, "A column that must not be null has a null value"),
    (("DELTA_VIOLATE_CONSTRAINT", "CHECK constraint"), ConstraintViolated, "Rows violate a constraint"),
    (
        ("MULTIPLE_SOURCE_ROW", "MERGE_CARDINALITY", REPEATED_KEY),
        InvalidPayload,
        "Several rows of the data have the same key",
    ),
    (("DELTA_CONCURRENT", "ConcurrentModification", "conflict"), WriteConflict, "Another writer committed first"),
    (("METADATA_MISMATCH", "FAILED_TO_MERGE_FIELDS"), SchemaMismatch, "The data doesn't match the schema of the table"),
    (
        ("DELTA_FEATURES_PROTOCOL_METADATA_MISMATCH",),
        InvalidArgument,
        "Apache Spark can't open tables with timestamps without time zone and non-null columns. Store instants in UTC",
    ),
    (
        ("Table features must be specified", "Unsupported table features"),
        InvalidArgument,
        "This engine can't change a table with these Delta features. Use Spark.write, or HEADWATER_SPARK=local",
    ),
)


@contextmanager
def translated(activity: str) -> Iterator[None]:
    """Translates Spark errors to classes of `core.errors`. `activity` completes the phrase "while ..." in messages.

    An error in a user's own Python function is not translated.
    """
    from grpc import RpcError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException, PythonException

    try:
        yield
    except PythonException:
        raise
    except (PySparkException, RpcError) as error:
        raise _translate(activity, error) from error


def _translate(activity: str, error: Exception) -> Exception:
    from pyspark.errors import AnalysisException, IllegalArgumentException, ParseException

    text = str(error)
    line = _summary_line(text)
    if any(pattern in text for pattern in _STORAGE_FULL):
        return StorageFull(
            f"The storage has no space left, while {activity}: {line}. Nothing was committed. Free some space."
        )
    for patterns, error_class, problem in _BY_PATTERN:
        if any(pattern in text for pattern in patterns):
            return error_class(f"{problem}, while {activity}: {line}")
    if isinstance(error, AnalysisException | ParseException | IllegalArgumentException):
        return InvalidArgument(f"Spark rejected the statement, while {activity}: {line}")
    if any(pattern in text for pattern in _CONNECTION_LOST):
        return Unavailable(
            f"The connection to Spark was lost while {activity} ({line}). Run the step again: it starts Spark again.",
            retry_after_seconds=1,
        )
    return error


def _summary_line(text: str) -> str:
    """Returns the line of a Spark message that describes the error, without the JVM stack trace."""
    if match := re.search(r'details = "([^"]+)"', text):
        text = match.group(1)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("JVM ", "\tat "))]
    return lines[0][:500].rstrip(".") if lines else "no reason given"
