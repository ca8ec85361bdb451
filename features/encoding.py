"""Keys and values of online rows as bytes, without loss: integers, instants, decimals, NaN, null, and text."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from core.errors import InvalidPayload
from core.numbers import is_storable
from features.rows import is_text

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_TEXT = 10_000
_KEYS = msgspec.msgpack.Encoder()


def key_bytes(values: Sequence[Any]) -> bytes:
    """Returns the key of an entity as bytes. Equal keys have equal bytes."""
    return _KEYS.encode(tuple(values))


class KeyForm(StrEnum):
    """How the values of a key are written in a request."""

    INTEGER = "an integer of 64 bits"
    BOOLEAN = "true or false"
    TEXT = "a text"
    DATE = "a date such as 2026-03-31"


def key_form(kind: pa.DataType) -> KeyForm:
    """Returns the form of a key of a type."""
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return KeyForm.INTEGER
    if pa.types.is_boolean(kind):
        return KeyForm.BOOLEAN
    return KeyForm.TEXT if is_text(kind) else KeyForm.DATE


def key_value(value: Any, form: KeyForm, name: str, pointer: str) -> Any:
    """Returns the value of a key in a request as it is compared, or `None`.

    Raises:
        InvalidPayload: the value doesn't have the form of the key.
    """
    kind = type(value)
    if kind is int and form is KeyForm.INTEGER and is_storable(value):
        return value
    if kind is str and form is KeyForm.TEXT and len(value) <= _MAX_TEXT:
        return value
    if value is None or (kind is bool and form is KeyForm.BOOLEAN):
        return value
    if kind is str and form is KeyForm.DATE:
        with suppress(ValueError):
            return datetime.date.fromisoformat(value).toordinal() - datetime.date(1970, 1, 1).toordinal()
    fault = f"must be {form}"
    raise InvalidPayload(f"The key {name} {fault}.", errors=[{"pointer": pointer, "detail": fault}])


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


@lru_cache(maxsize=1_000)
def schema_of(content: bytes) -> pa.Schema:
    """Returns the schema of `schema_bytes`."""
    import pyarrow as pa

    return pa.ipc.read_schema(pa.BufferReader(content))


class StoredForm(StrEnum):
    """How the stored values of a type relate to its Python values."""

    SAME = "same"
    FLOAT = "float"
    """The same. They may be NaN or infinite."""
    OTHER = "other"


@lru_cache(maxsize=100)
def stored_form(kind: pa.DataType) -> StoredForm:
    """Returns the form of the stored values of a type."""
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return StoredForm.FLOAT
    same = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or is_text(kind)
    return StoredForm.SAME if same else StoredForm.OTHER


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
