"""Turns what Spark Connect raises into the platform's errors."""

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

_GONE = (
    "UNAVAILABLE",
    "failed to connect to all addresses",
    "Connection refused",
    "Connection reset",
    "Socket closed",
    "INVALID_HANDLE",
    "SESSION_CLOSED",
    "Stream removed",
)
_FULL = ("No space left on device", "Disk quota exceeded")
_BY_SIGN: tuple[tuple[tuple[str, ...], type[HeadwaterError], str], ...] = (
    (("UNRESOLVED_COLUMN", "cannot resolve attribute"), UnknownColumn, "Spark does not know a column"),
    (("NOT_NULL_CONSTRAINT_VIOLATED",), ConstraintViolated, "A column that must have a value lacks one"),
    (("DELTA_VIOLATE_CONSTRAINT", "CHECK constraint"), ConstraintViolated, "Rows break a constraint"),
    (("MULTIPLE_SOURCE_ROW", "MERGE_CARDINALITY"), InvalidPayload, "Several rows of the data have the same key"),
    (("DELTA_CONCURRENT", "ConcurrentModification", "conflict"), WriteConflict, "Another writer committed first"),
    (("METADATA_MISMATCH", "FAILED_TO_MERGE_FIELDS"), SchemaMismatch, "The data does not fit the table"),
    (
        ("DELTA_FEATURES_PROTOCOL_METADATA_MISMATCH",),
        InvalidArgument,
        "Apache Spark opens no table that has timestamps without zone beside non-null columns: store instants in UTC",
    ),
    (
        ("Table features must be specified", "Unsupported table features"),
        InvalidArgument,
        "This engine cannot change a table with these Delta features: use Spark.write, or HEADWATER_SPARK=local",
    ),
)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raises a `core.errors` class for whatever Spark raises; `doing` completes "while ...".

    An error inside a user's own Python function passes unchanged.
    """
    from grpc import RpcError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException, PythonException

    try:
        yield
    except PythonException:
        raise
    except (PySparkException, RpcError) as error:
        raise _translate(doing, error) from error


def lost(error: BaseException) -> bool:
    """Whether an error means that the server went away, so that the outcome of a statement is not known."""
    return isinstance(error, Unavailable)


def _translate(doing: str, error: Exception) -> Exception:
    from pyspark.errors import AnalysisException, IllegalArgumentException, ParseException

    text = str(error)
    line = _telling_line(text)
    if any(sign in text for sign in _FULL):
        return StorageFull(f"The store has no room left while {doing}: {line}. Nothing was committed: free some space.")
    for signs, kind, what in _BY_SIGN:
        if any(sign in text for sign in signs):
            return kind(f"{what}, while {doing}: {line}")
    if isinstance(error, AnalysisException | ParseException | IllegalArgumentException):
        return InvalidArgument(f"Spark refuses the statement, while {doing}: {line}")
    if any(sign in text for sign in _GONE):
        return Unavailable(
            f"Spark went away while {doing} ({line}). Run the step again: Spark starts anew with it.",
            retry_after_seconds=1,
        )
    return error


def _telling_line(text: str) -> str:
    """The one line of a Spark message that says what is wrong, without the JVM's stack."""
    if found := re.search(r'details = "([^"]+)"', text):
        text = found.group(1)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("JVM ", "\tat "))]
    return lines[0][:500].rstrip(".") if lines else "no reason given"
