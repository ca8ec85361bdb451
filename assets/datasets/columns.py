"""Column descriptions as Delta column comments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from core.errors import SchemaMismatch
from lakehouse.schemas import Prepared

Rows = TypeVar("Rows", bound=Prepared)


def described(rows: Rows, descriptions: Mapping[str, str]) -> Rows:
    """Returns the rows with column descriptions as field metadata `comment`, which Delta stores.

    Raises:
        SchemaMismatch: a described column does not exist.
    """
    import pyarrow as pa

    if unknown := [name for name in descriptions if name not in rows.schema.names]:
        raise SchemaMismatch(
            f"`columns` describes {', '.join(unknown)}, but the table has {', '.join(rows.schema.names)}."
        )
    fields = [
        field.with_metadata({"comment": descriptions[field.name]}) if field.name in descriptions else field
        for field in rows.schema
    ]
    return cast("Rows", rows.cast(pa.schema(fields)))
