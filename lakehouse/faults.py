"""Turns what delta-rs, Arrow and the file system raise into the platform's errors."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

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
    WriteConflict,
)

_FULL = ("No space left on device", "os error 28", "Disk quota exceeded", "os error 122", "StorageFull")
_UNREACHABLE = (
    "error sending request",
    "could not connect",
    "connection refused",
    "dns error",
    "timed out",
    "slowdown",
)
_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ACCESS_DENIED", "InvalidToken")
_GONE = re.compile(r"Object at location \S+ not found|No such file or directory|Find missing file")
_NO_FIELD = re.compile(r"No field named ([^\s?]+)\.")
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
"""Writes without data: a value that does not fit is one of the condition."""


@contextmanager
def translated(table: str, doing: str) -> Iterator[None]:
    """Raises a `core.errors` class for whatever the block raises; `doing` completes "while ...".

    Arrow casts inside delta-rs arrive as bare `Exception`, so the net is wide and the cause is always chained.
    """
    try:
        yield
    except HeadwaterError:
        raise
    except Exception as error:
        raise _translate(table, doing, error) from error


def _translate(table: str, doing: str, error: Exception) -> Exception:
    from deltalake.exceptions import CommitFailedError, SchemaMismatchError, TableNotFoundError

    text = _first_line(error)
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or any(
        s in str(error) for s in _FULL
    ):
        return StorageFull(
            f"The store has no room left while {doing} {table}. Nothing was committed and the table is readable: "
            "free some space (vacuum removes unreferenced files), then try again.",
            metadata={"table": table},
        )
    if isinstance(error, TableNotFoundError):
        return UnknownTable(f"There is no table {table}.", metadata={"table": table})
    if "Table features must be specified" in text:
        return SchemaMismatch(f"{table} lacks a Delta feature this data needs: {text}", metadata={"table": table})
    if isinstance(error, CommitFailedError):
        return WriteConflict(
            f"Another writer committed to {table} while {doing} it, and both cannot stand ({text}). "
            "Nothing was written: read the new version and try again.",
            metadata={"table": table},
        )
    if isinstance(error, SchemaMismatchError):
        return SchemaMismatch(f"The data does not fit {table}: {text}", metadata={"table": table})
    return _by_message(table, doing, str(error), text) or error


def _by_message(table: str, doing: str, message: str, text: str) -> HeadwaterError | None:
    metadata = {"table": table}
    if "table already exists at" in message.lower():
        return Conflict(f"Table {table} exists already. Append to it, overwrite it, or choose another name.")
    if found := _NO_FIELD.search(message):
        listed = _FIELDS.search(message)
        existing = [name.strip().strip('"') for name in listed.group(1).split(",")] if listed else []
        wanted, hint = found.group(1).strip('"'), f"; it has {', '.join(existing)}" if existing else ""
        return UnknownColumn(
            f"{table} has no column {wanted}{hint}. Names are case-sensitive.",
            metadata=metadata | {"column": wanted, "existing": existing},
        )
    if "failed validation check" in message:
        return ConstraintViolated(f"Rows break a constraint of {table}: {text}", metadata=metadata)
    if "multiple source rows" in message:
        return InvalidPayload(
            f"Several rows of the data have the same key, so it is not clear which one {table} should keep. "
            "Make the merge key unique in the data.",
            metadata=metadata,
        )
    if any(sign in message for sign in _PLANNING) or ("Cast error" in message and doing in _CONDITIONAL):
        return InvalidArgument(f"The condition on {table} is not valid SQL: {text}", metadata=metadata)
    if "does not have change data enabled" in message:
        return Conflict(
            f"{table} has no change data feed at these versions. Set its property delta.enableChangeDataFeed, or "
            "compare the versions with a diff.",
            metadata=metadata,
        )
    if "LogSegment end version" in message or "Invalid table version" in message:
        return UnknownVersion(f"{table} has no such version: {text}", metadata=metadata)
    if "Cast error" in message or "Invalid data type for Delta Lake" in message:
        return SchemaMismatch(f"A value does not fit its column in {table}: {text}", metadata=metadata)
    if any(sign in message for sign in _REFUSED):
        return Unavailable(
            f"The store refuses the platform's credentials while {doing} {table}: check `storage_options`.",
            metadata=metadata,
        )
    if any(sign in message.lower() for sign in _UNREACHABLE):
        return Unavailable(
            f"The store of {table} does not answer while {doing} it: {text}. Retry in a moment.", metadata=metadata
        )
    if _GONE.search(message):
        return UnknownVersion(
            f"Data files of {table} are gone (most likely vacuumed): {text}. Read a newer version, and pin versions "
            "that must stay readable.",
            metadata=metadata,
        )
    if doing == "opening":
        return TableDamaged(
            f"The Delta log of {table} cannot be read: {text}. Run `headwater doctor`, then restore the "
            "`_delta_log` folder from a backup.",
            metadata=metadata,
        )
    return None


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n", 1)[0]
    for noise in ("Generic DeltaTable error: ", "External error: ", "Kernel error: ", "Generic delta kernel error: "):
        line = line.replace(noise, "")
    return line
