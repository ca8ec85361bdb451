"""Paths of data files, as the Delta log contains them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lakehouse.partitions import NULL_PARTITION

if TYPE_CHECKING:
    import pyarrow as pa

_OUTSIDE = re.compile(r"^/|^[A-Za-z][A-Za-z0-9+.-]*:|(^|/)\.\.(/|$)")


def is_outside(path: str) -> bool:
    """Returns whether a decoded path leads out of the table's folder."""
    return bool(_OUTSIDE.search(path))


def contains_partitions(path: str, values: dict[str, pa.Scalar]) -> bool:
    """Returns whether the folders of a path contain the partition values as every reader expects them."""
    import pyarrow as pa

    folders = [tuple(map(unquote, part.split("=", 1))) for part in path.split("/")[:-1]]
    if len(folders) != len(values) or any(len(part) != 2 for part in folders):
        return False
    for (name, text), (column, value) in zip(folders, values.items(), strict=True):
        kind = value.type
        if not (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_date32(kind)):
            return False
        # An empty text is a null in Delta, but a text for readers of paths.
        if name != column or not text or text != _text(value):
            return False
        if value.is_valid and text == NULL_PARTITION:
            return False
    return True


def _text(value: pa.Scalar) -> str:
    import pyarrow as pa

    return str(value.cast(pa.string()).as_py()) if value.is_valid else NULL_PARTITION


def decoded_path(path: str) -> str:
    """Returns a path of the log without its URL encoding."""
    return unquote(path) if "%" in path else path


def relative_path(uri: str, root: str) -> str:
    """Returns the decoded path of a data file below the location of its table."""
    return unquote(uri.removeprefix(root if "://" in root else f"file://{root}").lstrip("/"))
