"""A file with its right answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lakehouse.delimited import Column


@dataclass(frozen=True)
class Case:
    """A file, how its source is declared, and what must become of it.

    With typed columns: a landing table has `rows` and quarantines `rejected`, a whole-file source gives `rows` or, if
    anything is rejected, refuses the file. Without: a whole-file source gives `rows` of `types` or is `refused`.
    """

    name: str
    content: bytes
    rows: Sequence[tuple[Any, ...]] = ()
    columns: str = ""
    """`name:type` or `name:type!` (not nullable), separated by spaces; empty: not declared."""
    rejected: Mapping[int, str] = field(default_factory=dict)
    """Line to a part of the reason."""
    refused: str = ""
    """A part of the reason why a whole-file source refuses."""
    types: str = ""
    """Arrow types of an undeclared file's columns, separated by spaces."""
    names: str = ""
    """Column names of an undeclared file, separated by `|`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    nulls: Sequence[str] = ()
    file: str = "f.csv"

    @property
    def declared(self) -> list[Column]:
        """The declared columns."""
        parts = [part.rstrip("!").split(":") for part in self.columns.split()]
        strict = [part.endswith("!") for part in self.columns.split()]
        return [
            Column(name, kind, nullable=not needed)  # type: ignore[arg-type]
            for (name, kind), needed in zip(parts, strict, strict=True)
        ]

    def __str__(self) -> str:
        return self.name


def types_of(schema: pa.Schema) -> str:
    """The types of a schema as cases name them: engines name the inside of lists and maps each in their way."""
    return " ".join(str(kind) for kind in schema.types).replace("item:", "element:").replace(" ('v')", "")


def same(found: Any, expected: Any) -> bool:
    """Equal, of the same type, and with the same sign of zero; NaN equals itself."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(same(found[k], expected[k]) for k in found)
        )
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float) and isinstance(found, float):
        return math.copysign(1, found) == math.copysign(1, expected) and found == expected
    return type(found) is type(expected) and bool(found == expected)
