"""A digest of the rows that a Spark frame makes, computed where the rows are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructField

_NESTED = re.compile(r"array<|map<|struct<|variant")


def content(frame: DataFrame, partition_by: Sequence[str]) -> str | None:
    """The digest of a frame, whatever the order of its rows, and of its columns with their comments.

    It holds two sums of 64-bit hashes of the rows. `None` for columns of nested types, whose hash does not tell all
    values apart.
    """
    if any(_NESTED.match(field.dataType.simpleString()) for field in frame.schema):
        return None
    values = ", ".join(part for field in frame.schema for part in _hashed(field))
    sums = [f"CAST(sum(CAST(xxhash64({salt}, {values}) AS DECIMAL(38, 0))) AS STRING)" for salt in (1, 2)]
    row = frame.selectExpr("CAST(count(1) AS STRING)", *sums).collect()[0]
    columns = ([field.json() for field in frame.schema], list(partition_by))
    described = hashlib.blake2b(repr(columns).encode(), digest_size=20).hexdigest()
    return "/".join(("spark1", described, *(str(value) for value in row)))


def _hashed(field: StructField) -> tuple[str, str]:
    # A null leaves the hash of a row as it is, and floats are hashed without the sign of zero.
    name = "`" + field.name.replace("`", "``") + "`"
    floats = field.dataType.simpleString() in ("float", "double")
    return f"{name} IS NULL", f"CAST({name} AS STRING)" if floats else name
