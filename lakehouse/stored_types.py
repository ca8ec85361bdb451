"""Arrow types and the Delta types that they're stored as."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_DIGITS = 38
_STORED_EXTENSIONS = {"arrow.json": "string", "arrow.uuid": "binary", "arrow.bool8": "bool"}
"""Arrow extension types whose values can be stored as a Delta type without loss."""

_HINTS = (
    ("is_time", "convert times of day to integers or strings"),
    ("is_duration", "convert durations to integers or strings"),
    ("is_interval", "convert intervals to integers or strings"),
    ("is_null", "give empty columns a type"),
    ("is_union", "split unions into columns"),
    ("is_list_view", "convert list views to lists"),
    ("is_large_list_view", "convert list views to lists"),
    ("is_run_end_encoded", "decode run-end encoding"),
)


def stored(kind: pa.DataType) -> pa.DataType:
    """Returns the Arrow type that a column of type `kind` is stored as.

    A cast to that type keeps every value exactly, or raises an error. Types that can't be stored are returned as they
    are; see `type_faults`.
    """
    import pyarrow as pa

    types = pa.types
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name in _STORED_EXTENSIONS:
        return pa.type_for_alias(_STORED_EXTENSIONS[kind.extension_name])
    if types.is_dictionary(kind):
        return stored(kind.value_type)
    if types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(stored(kind.value_type)))
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(stored(kind.value_type)))
    if types.is_map(kind):
        return pa.map_(
            kind.key_field.with_type(stored(kind.key_type)), kind.item_field.with_type(stored(kind.item_type))
        )
    if types.is_struct(kind):
        return pa.struct([field.with_type(stored(field.type)) for field in kind])
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if types.is_decimal(kind):
        return _decimal(kind)
    wider_types = {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.int64(),
        pa.float16(): pa.float32(),
        pa.date64(): pa.date32(),
    }
    return wider_types.get(kind, kind)


def _decimal(kind: pa.DataType) -> pa.DataType:
    """Returns a decimal type whose scale is neither negative nor larger than the precision, as in Delta."""
    import pyarrow as pa

    scale = max(kind.scale, 0)
    precision = max(kind.precision - min(kind.scale, 0), scale)
    return kind if precision > _MAX_DIGITS else pa.decimal128(precision, scale)


def type_faults(kind: pa.DataType) -> Iterator[str]:
    """Yields what to do instead for each part of a type that Delta doesn't support."""
    import pyarrow as pa

    for part in _parts(stored(kind)):
        types = pa.types
        if isinstance(part, pa.BaseExtensionType):
            yield f"store the plain values of the extension type {part.extension_name}"
        elif hint := next((hint for test, hint in _HINTS if getattr(types, test)(part)), ""):
            yield hint
        elif types.is_decimal(part) and not types.is_decimal128(part):
            yield f"use decimals with at most {_MAX_DIGITS} digits"
        elif types.is_struct(part):
            yield from _struct_faults(part)


def _struct_faults(kind: pa.DataType) -> Iterator[str]:
    names = [field.name for field in kind]
    if not names:
        yield "give structs at least one field"
    yield from (f"rename the fields of a struct: {fault}" for fault in name_faults(names).values())


def name_faults(names: list[str]) -> dict[str, str]:
    """Returns the reasons, by name, why names of columns in a table, or of fields in a struct, aren't possible."""
    lowered = [name.lower() for name in names]
    faults: dict[str, str] = {}
    for name in names:
        if not name:
            faults[name] = "a name is empty"
        elif any(character < " " and character not in "\t\n\r" for character in name):
            faults[name] = f"the name {name!r} contains a control character"
        elif name == "*" or (name.startswith("^") and name.endswith("$")):
            faults[name] = f"readers interpret the name {name!r} as a pattern"
        elif lowered.count(name.lower()) > 1:
            faults[name] = f"{name} occurs twice (Delta ignores case in names)"
    return faults


def contains(kind: pa.DataType, test: Callable[[pa.DataType], bool]) -> bool:
    """Returns whether a test is true for a type or for a type nested in it."""
    return any(map(test, _parts(kind)))


def _parts(kind: pa.DataType) -> Iterator[pa.DataType]:
    yield kind
    for number in range(kind.num_fields):
        yield from _parts(kind.field(number).type)


def fits(source: pa.DataType, target: pa.DataType) -> bool:
    """Returns whether every value of `source` is a value of `target`."""
    import pyarrow as pa

    source, target = canonical(source), canonical(target)
    if source == target:
        return True
    types = pa.types
    if types.is_signed_integer(source) and types.is_signed_integer(target):
        return bool(source.bit_width <= target.bit_width)
    if types.is_floating(source) and types.is_floating(target):
        return bool(source.bit_width <= target.bit_width)
    if types.is_decimal(source) and types.is_decimal(target):
        return bool(source.scale == target.scale and source.precision <= target.precision)
    if types.is_list(source) and types.is_list(target):
        return fits(source.value_type, target.value_type)
    if types.is_struct(source) and types.is_struct(target):
        source_types, target_types = {f.name: f.type for f in source}, {f.name: f.type for f in target}
        return source_types.keys() == target_types.keys() and all(
            fits(kind, target_types[name]) for name, kind in source_types.items()
        )
    if types.is_map(source) and types.is_map(target):
        return fits(source.key_type, target.key_type) and fits(source.item_type, target.item_type)
    return False


def canonical(kind: pa.DataType) -> pa.DataType:
    """Returns the same Arrow type for all Arrow types that represent one Delta type."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return canonical(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if types.is_date64(kind):
        return pa.date32()
    if types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(kind.value_type)
    return kind


def agrees(source: pa.DataType, target: pa.DataType) -> bool:
    """Returns whether every Parquet reader reads a file's column of type `source` as the Delta type `target`."""
    import pyarrow as pa

    types = pa.types
    if types.is_struct(target):
        return bool(
            types.is_struct(source)
            and [field.name for field in source] == [field.name for field in target]
            and all(agrees(field.type, other.type) for field, other in zip(source, target, strict=True))
        )
    if types.is_map(target):
        return bool(
            types.is_map(source)
            and agrees(source.key_type, target.key_type)
            and agrees(source.item_type, target.item_type)
        )
    if types.is_list(target):
        return bool(
            (types.is_list(source) or types.is_large_list(source)) and agrees(source.value_type, target.value_type)
        )
    if types.is_string(target):
        return bool(types.is_string(source) or types.is_large_string(source) or types.is_string_view(source))
    if types.is_binary(target):
        return bool(types.is_binary(source) or types.is_large_binary(source) or types.is_binary_view(source))
    return bool(source == target)


def widens(source: pa.DataType, target: pa.DataType) -> bool:
    """Returns whether every value of a file's column of type `source` can be converted to `target`."""
    import pyarrow as pa

    types = pa.types
    if types.is_timestamp(source) and types.is_timestamp(target):
        return bool(source.unit in ("ms", "us") and (source.tz is None) == (target.tz is None))
    if types.is_date32(source) and types.is_timestamp(target):
        return target.tz is None
    if types.is_signed_integer(source) and types.is_floating(target):
        return bool(source.bit_width <= 32 and target.bit_width == 64)
    if types.is_decimal(source) and types.is_decimal(target):
        source_digits, target_digits = source.precision - source.scale, target.precision - target.scale
        return bool(source.scale <= target.scale and source_digits <= target_digits)
    return fits(source, target)
