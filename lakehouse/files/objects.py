"""Reading of JSON files, as lines or as one array. Each object is a row.

Values that can't be stored exactly are refused: repeated keys, numbers that the stored type would round, `NaN`, and
unpaired surrogates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument, SchemaMismatch
from lakehouse.files.casting import no_rows, typed
from lakehouse.files.options import FileOptions, Format
from lakehouse.files.rows import Column, Parsed, Rejected, Texts, excerpt
from lakehouse.files.text import Text, decoded

if TYPE_CHECKING:
    import pyarrow as pa

_INT64 = range(-(2**63), 2**63)
_EXACT_IN_FLOAT = 2**53
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Item:
    """An object of the file, or another value with the fault that it isn't an object."""

    line: int
    raw: bytes
    row: dict[str, Any]
    fault: str = ""


class _Fault(ValueError):
    """A value that isn't valid JSON, or that can't be stored exactly."""


class _Float(float):
    """A number with its text in the file."""

    __slots__ = ("text",)
    text: str


def items(text: Text, format: Format) -> Iterator[Item]:
    """Yields the objects of a file, each with the line on which it begins.

    A file that isn't a valid array is one item with a fault.
    """
    yield from _lines(text) if format == "jsonl" else _array(text)


def _lines(text: Text) -> Iterator[Item]:
    for number in range(1, text.line_count + 1):
        raw = text.raw(number, number)
        if number in text.invalid:
            yield Item(number, raw, {}, text.invalid[number])
        elif (content := raw.decode(text.encoding)).strip():
            yield _item(number, raw, content)


def _array(text: Text) -> Iterator[Item]:
    import msgspec

    if text.invalid:
        number, reason = next(iter(text.invalid.items()))
        yield Item(1, text.original, {}, f"line {number} is {reason}")
        return
    if not text.body.strip():
        yield Item(1, text.original, {}, "not valid JSON: the file is empty")
        return
    try:
        values = msgspec.json.decode(text.body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        yield Item(1, text.original, {}, f"not a JSON array of objects: {error}")
        return
    line, position = 1, 0
    for value in values:
        raw = bytes(value)
        start = text.body.index(raw, position)
        line += text.body.count(text.newline, position, start)
        yield _item(line, raw, raw.decode())
        position = start + len(raw)
        line += raw.count(text.newline)


def _item(line: int, raw: bytes, content: str) -> Item:
    try:
        row = json.loads(
            content, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
        if not isinstance(row, dict):
            raise _Fault(f"not an object: {excerpt(content.strip())}")
        _check(row, 0)
    except json.JSONDecodeError as error:
        return Item(line, raw, {}, f"not valid JSON: {error.msg} at column {error.colno}")
    except _Fault as error:
        return Item(line, raw, {}, str(error))
    except RecursionError:
        return Item(line, raw, {}, "nested too deeply")
    return Item(line, raw, row)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _Fault(f"the key {excerpt(repeated)} occurs twice")
    return values


def _constant(word: str) -> Any:
    raise _Fault(f"not valid JSON: {word} is not a number")


def _int(text: str) -> int:
    if len(text) > 20 or int(text) not in _INT64:
        raise _Fault(f"{excerpt(text)} does not fit a 64-bit integer")
    return int(text)


def _float(text: str) -> float:
    value = _Float(text)
    value.text = text
    try:
        exact = math.isfinite(value) and Decimal(text) == Decimal(repr(float(value)))
    except InvalidOperation:
        exact = False
    if not exact:
        raise _Fault(f"{excerpt(text)} does not fit a 64-bit float exactly")
    return value


def _check(value: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _Fault("nested too deeply")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Fault(f"{excerpt(ascii(value))} contains an unpaired surrogate") from None
    elif isinstance(value, dict):
        for name, part in value.items():
            _check(name, depth)
            _check(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check(part, depth + 1)


def parse_objects(content: bytes, columns: Sequence[Column], options: FileOptions, format: Format) -> Parsed:
    """Parses a file whose objects have the declared columns as keys. A missing key is a missing value.

    Raises:
        InvalidArgument: two columns have the same name.
    """
    import pyarrow as pa

    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise InvalidArgument("Two declared columns have the same name. Rename one of them.")
    text = decoded(content, options.encoding)
    if text.fault:
        return no_rows(columns, [Rejected(1, text.original, text.fault, text.encoding)])
    encoding = text.encoding if format == "jsonl" else "utf-8"
    valid: list[Item] = []
    values: list[list[str | None]] = []
    rejected = []
    for item in items(text, format):
        faults = (
            [item.fault]
            if item.fault
            else [f"undeclared key {excerpt(name)}" for name in item.row if name not in names]
        )
        row: list[str | None] = []
        if not faults:
            for column in columns:
                try:
                    row.append(_as_text(column, item.row.get(column.name)))
                except _Fault as error:
                    faults.append(str(error))
        if faults:
            rejected.append(Rejected(item.line, item.raw, "; ".join(faults), encoding))
        else:
            valid.append(item)
            values.append(row)
    texts = Texts(
        pa.table([pa.array([row[index] for row in values], pa.string()) for index in range(len(names))], names=names),
        [item.line for item in valid],
        rejected,
        lambda index, reason: Rejected(valid[index].line, valid[index].raw, reason, encoding),
    )
    # The forms of numbers and missing values are those of JSON, regardless of the options for CSV.
    return typed(texts, columns, replace(options, decimal=".", thousands=None, null_values=()))


def _as_text(column: Column, value: Any) -> str | None:
    """Returns a text that `typed` converts to the value."""
    if value is None:
        return None
    kinds = {"int32": int, "int64": int, "float64": (int, float), "bool": bool}
    expected = kinds.get(column.type, str)
    if not isinstance(value, expected) or (isinstance(value, bool) and column.type != "bool"):  # type: ignore[arg-type]
        raise _Fault(f"{column.name}: {excerpt(json.dumps(value, ensure_ascii=False))} is not a valid {column.type}")
    if isinstance(value, bool):
        return "true" if value else "false"
    if column.type == "float64" and isinstance(value, int) and int(float(value)) != value:
        raise _Fault(f"{column.name}: {value} does not fit a 64-bit float exactly")
    if isinstance(value, str):
        if column.type != "string" and not value:
            raise _Fault(f"{column.name}: '' is not a valid {column.type}")
        return value
    return value.text if isinstance(value, _Float) else str(value)


def infer_objects(content: bytes, address: str, options: FileOptions, format: Format) -> pa.Table:
    """Reads a file without declared columns. The keys are the columns, in the order of their first occurrence.

    Raises:
        SchemaMismatch: an object can't be read, or a key has values of different types.
    """
    import pyarrow as pa

    text = decoded(content, options.encoding)
    if text.fault:
        raise SchemaMismatch(f"{address} is {text.fault}.")
    objects = list(items(text, format))
    if faults := [f"line {item.line}: {item.fault}" for item in objects if item.fault]:
        raise SchemaMismatch(f"{len(faults)} objects of {address} can't be read: {'; '.join(faults[:3])}.")
    names = list(dict.fromkeys(name for item in objects for name in item.row))
    if not names:
        raise SchemaMismatch(f"{address} has no object with a key, so it has no columns.")
    arrays = []
    for name in names:
        values = [item.row.get(name) for item in objects]
        try:
            array = pa.array([_native(value) for value in values])
            exact = all(_is_same(value, stored) for value, stored in zip(values, array.to_pylist(), strict=True))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError):
            exact = False
        if not exact:
            raise SchemaMismatch(
                f"{address}: the values of {excerpt(name)} have different types. Declare typed columns, or correct the "
                "file."
            )
        arrays.append(array.cast(pa.string()) if pa.types.is_null(array.type) else array)
    return pa.table(arrays, names=names)


def _native(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _native(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_native(part) for part in value]
    return float(value) if isinstance(value, _Float) else value


def _is_same(value: Any, stored: Any) -> bool:
    """Returns whether Arrow stored a value exactly: no Boolean as a number, no rounded integer, no missing key."""
    if isinstance(value, dict):
        if not isinstance(stored, dict):
            return False
        return set(value) <= set(stored) and all(_is_same(value.get(name), part) for name, part in stored.items())
    if isinstance(value, list):
        return isinstance(stored, list) and len(value) == len(stored) and all(map(_is_same, value, stored))
    if isinstance(value, int) and isinstance(stored, float) and not isinstance(value, bool):
        return abs(value) <= _EXACT_IN_FLOAT
    plain = float(value) if isinstance(value, _Float) else value
    return type(plain) is type(stored) and plain == stored
