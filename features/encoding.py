"""Keys and values of online rows as bytes, without loss: integers, instants, decimals, NaN, null, and text."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from core.errors import InvalidPayload
from core.numbers import is_storable
from features.rows import is_text

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_TEXT = 10_000


def key_bytes(values: Sequence[Any]) -> bytes:
    """Returns the key of an entity as bytes. Equal keys have equal bytes."""
    return msgspec.msgpack.encode(list(values))


def key_value(value: Any, kind: pa.DataType, name: str, pointer: str) -> Any:
    """Returns the value of a key in a request as it is compared, or `None`.

    Raises:
        InvalidPayload: the value doesn't have the type of the key.
    """
    import pyarrow as pa

    if value is None:
        return None
    fault = ""
    if pa.types.is_integer(kind):
        if isinstance(value, bool) or not isinstance(value, int) or not is_storable(value):
            fault = "must be an integer of 64 bits"
    elif pa.types.is_boolean(kind):
        fault = "" if isinstance(value, bool) else "must be true or false"
    elif is_text(kind):
        fault = "" if isinstance(value, str) and len(value) <= _MAX_TEXT else "must be a text"
    else:
        try:
            value = datetime.date.fromisoformat(value).toordinal() - datetime.date(1970, 1, 1).toordinal()
        except (TypeError, ValueError):
            fault = "must be a date such as 2026-03-31"
    if fault:
        raise InvalidPayload(f"The key {name} {fault}.", errors=[{"pointer": pointer, "detail": fault}])
    return value


def storable(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """Returns the values of a column in a form that msgpack stores without loss."""
    return column.cast(_stored_type(column.type)).to_pylist()  # type: ignore[no-any-return]


def restored(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Returns the values of `storable` as a column of the type."""
    import pyarrow as pa

    return pa.array(values, _stored_type(kind)).cast(kind)


def schema_bytes(schema: pa.Schema) -> bytes:
    """Returns an Arrow schema as bytes."""
    return schema.remove_metadata().serialize().to_pybytes()  # type: ignore[no-any-return]


def schema_of(content: bytes) -> pa.Schema:
    """Returns the schema of `schema_bytes`."""
    import pyarrow as pa

    return pa.ipc.read_schema(pa.BufferReader(content))


def _stored_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type whose Python values are exact and that msgpack knows."""
    import pyarrow as pa

    types = pa.types
    if types.is_decimal(kind):
        return pa.string()
    if types.is_timestamp(kind) or types.is_time64(kind) or types.is_duration(kind) or types.is_date64(kind):
        return pa.int64()
    if types.is_date32(kind) or types.is_time32(kind):
        return pa.int32()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_stored_type(kind.value_type))
    return kind
