"""Translation of the exceptions of delta-rs, Arrow, and the file system into the platform's errors."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from core import errors
from core.errors import (
    Conflict,
    ConstraintViolated,
    HeadwaterError,
    InvalidArgument,
    InvalidPayload,
    SchemaMismatch,
    StorageFull,
    TableDamaged,
    Unavailable,
    UnknownColumn,
    UnknownTable,
    UnknownVersion,
    UnsupportedTable,
    WriteConflict,
)

_DISK_FULL = ("No space left on device", "os error 28", "Disk quota exceeded", "os error 122", "StorageFull")
_UNREACHABLE = (
    "error sending request",
    "could not connect",
    "connection refused",
    "dns error",
    "timed out",
    "slowdown",
)
_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ACCESS_DENIED", "InvalidToken")
_FILE_MISSING = re.compile(
    r"Object at location \S+ not found|No such file or directory|Find missing file|File not found"
)
_GAP = re.compile(r"found gap: .*?version: (\d+).*? -> .*?version: (\d+)", re.DOTALL)
_CORRUPT = (
    "Parquet magic bytes",
    "thrift",
    "footer",
    "corrupt",
    "Unexpected end of stream",
    "smaller than the minimum",
)
_UNSUPPORTED = (
    (re.compile(r"Unsupported Delta table type: '([^']+)'"), "the column type {0}"),
    (re.compile(r"Feature '([^']+)' is not supported"), "{0}"),
    (
        re.compile(r"[Uu]nsupported (?:table |reader |writer )?features?(?: required)?: \[?(?:Unknown\()?\W*([\w-]+)"),
        "{0}",
    ),
    (re.compile(r"[Uu]nsupported minimum (reader|writer) version:? (\d+)"), "{0} version {1}"),
    (re.compile(r"(?i)catalog-managed"), "catalogManaged"),
    (re.compile(r"VARIANT columns"), "variantType"),
    (re.compile(r"Duplicate field name[^:]*: '([^']+)'"), "columns whose names differ only by case ({0})"),
    (re.compile(r"Invalid decimal: (.+?)(?: at line|$)"), "a decimal type that Delta doesn't support ({0})"),
)
"""Messages of delta-rs about unsupported features, and names of these features."""

_WRAPPED = re.compile(r"core\.errors\.(\w+): (.+)")
_NO_FIELD = re.compile(r'No field named ("[^"]*(?:""[^"]*)*"|[^\s?]*)\.')
_FIELDS = re.compile(r"Valid fields are (.+?)\.\s*$")
_PLANNING = (
    "sql parser error",
    "ParserError",
    "Error during planning",
    "Unable to convert expression",
    "Error evaluating filter predicate",
    "cannot be used in a WHERE",
)
_CONDITIONAL = ("deleting from", "adding a constraint to")
"""Activities without data. A value that can't be cast is part of the condition."""


@contextmanager
def translated(table: str, activity: str) -> Iterator[None]:
    """Raises a `core.errors` class for an exception of the block, with the exception as its cause.

    Args:
        table: table id.
        activity: present participle for messages, such as "reading".
    """
    try:
        yield
    except HeadwaterError:
        raise
    except Exception as error:  # casts within delta-rs raise bare `Exception`
        raise _translate(table, activity, error) from error


def _translate(table: str, activity: str, error: Exception) -> Exception:
    from deltalake.exceptions import CommitFailedError, SchemaMismatchError, TableNotFoundError

    if wrapped := _WRAPPED.search(str(error)):  # raised by a stream of rows that delta-rs consumes
        return cast("HeadwaterError", getattr(errors, wrapped.group(1))(wrapped.group(2)))
    text = _first_line(error)
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or any(
        s in str(error) for s in _DISK_FULL
    ):
        return StorageFull(
            f"The store was full while {activity} {table}. Nothing was committed, and the table is readable. Free some "
            "space (a vacuum deletes unreferenced files), then try again.",
            metadata={"table": table},
        )
    if isinstance(error, TableNotFoundError):
        return UnknownTable(f"There is no table {table}.", metadata={"table": table})
    if "Table features must be specified" in text:
        return SchemaMismatch(f"{table} lacks a Delta feature this data needs: {text}", metadata={"table": table})
    if isinstance(error, CommitFailedError):
        return WriteConflict(
            f"Another writer made a conflicting commit to {table} while {activity} it ({text}). Nothing was written. "
            "Read the new version and try again.",
            metadata={"table": table},
        )
    if isinstance(error, SchemaMismatchError):
        return SchemaMismatch(f"The data doesn't match {table}: {text}", metadata={"table": table})
    return _by_message(table, activity, str(error), text) or _by_class(table, activity, error, text) or error


def _by_class(table: str, activity: str, error: Exception, text: str) -> HeadwaterError | None:
    import pyarrow as pa

    if activity != "reading" or not isinstance(error, pa.ArrowException | ValueError | TypeError):
        return None
    if any(sign in text for sign in _CORRUPT):
        return TableDamaged(
            f"A data file of {table} is damaged: {text}. Restore the file from a backup, or restore an earlier version "
            "of the table.",
            metadata={"table": table},
        )
    return UnsupportedTable(
        f"A data file of {table} contains a value that the column's type in the Delta log doesn't allow: {text}. "
        "Rewrite the rows with the types of the table.",
        metadata={"table": table, "features": ["data files of other types than the table's"]},
    )


def _unsupported(table: str, message: str) -> HeadwaterError | None:
    """Returns the error for a table that delta-rs can't open because of a feature that it doesn't support."""
    for pattern, name in _UNSUPPORTED:
        if match := pattern.search(message):
            feature = name.format(*match.groups())
            return UnsupportedTable(
                f"The platform does not read the Delta table {table}: it uses {feature}. Drop it with the writer that "
                "set it, or copy the rows into a new table with that writer.",
                metadata={"table": table, "features": [feature]},
            )
    return None


def _by_message(table: str, activity: str, message: str, text: str) -> HeadwaterError | None:
    metadata = {"table": table}
    if "table already exists at" in message.lower():
        return Conflict(f"Table {table} already exists. Append to it, overwrite it, or choose another name.")
    if match := _NO_FIELD.search(message):
        fields = _FIELDS.search(message)
        existing = [name.strip().strip('"') for name in fields.group(1).split(",")] if fields else []
        column, hint = match.group(1).strip('"'), f" It has {', '.join(existing)}." if existing else ""
        return UnknownColumn(
            f"{table} has no column {column}.{hint} Names are case-sensitive.",
            metadata=metadata | {"column": column, "existing": existing},
        )
    if "failed validation check" in message:
        return ConstraintViolated(f"Rows violate a constraint of {table}: {text}", metadata=metadata)
    if "multiple source rows" in message:
        return InvalidPayload(
            f"Several rows of the data have the same key, so the result in {table} isn't defined. Make the merge key "
            "unique in the data.",
            metadata=metadata,
        )
    if any(sign in message for sign in _PLANNING) or ("Cast error" in message and activity in _CONDITIONAL):
        return InvalidArgument(f"The condition on {table} is not valid SQL: {text}", metadata=metadata)
    if "does not have change data enabled" in message:
        return Conflict(
            f"{table} has no change data feed at these versions. Compare the versions with a diff.",
            metadata=metadata,
        )
    if "LogSegment end version" in message or "Invalid table version" in message:
        return UnknownVersion(f"{table} has no such version: {text}", metadata=metadata)
    if "Cast error" in message or "Invalid data type for Delta Lake" in message:
        return SchemaMismatch(f"A value doesn't fit its column in {table}: {text}", metadata=metadata)
    if any(sign in message for sign in _REFUSED):
        return Unavailable(
            f"The store refused the platform's credentials while {activity} {table}. Check `storage_options`.",
            metadata=metadata,
        )
    if any(sign in message.lower() for sign in _UNREACHABLE):
        return Unavailable(
            f"The store of {table} didn't respond while {activity} it: {text}. Retry in a moment.", metadata=metadata
        )
    if _FILE_MISSING.search(message):
        return UnknownVersion(
            f"Data files of {table} are missing, most likely because of a vacuum: {text}. Read a newer version, and "
            "pin versions that must stay readable.",
            metadata=metadata,
        )
    if activity == "opening" and (error := _unsupported(table, message)):
        return error
    if activity == "opening" and (gap := _GAP.search(message)):
        return TableDamaged(
            f"The Delta log of {table} lacks the commit files between versions {gap[1]} and {gap[2]}. Restore them "
            "from a backup.",
            metadata=metadata,
        )
    if activity == "opening":
        return TableDamaged(
            f"The Delta log of {table} can't be read: {text}. Run `headwater doctor`, then restore the `_delta_log` "
            "folder from a backup.",
            metadata=metadata,
        )
    return None


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n", 1)[0]
    for prefix in ("Generic DeltaTable error: ", "External error: ", "Kernel error: ", "Generic delta kernel error: "):
        line = line.replace(prefix, "")
    return line
