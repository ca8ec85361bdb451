"""Tables whose log is written by hand: one commit, one file, and whatever the log says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NAME = "shop.silver.orders"


def hand_written(
    place: Path,
    *,
    protocol: Mapping[str, Any] | None = None,
    fields: list[Mapping[str, Any]] | None = None,
    add: Mapping[str, Any] | None = None,
    info: Any = None,
    rows: pa.Table | None = None,
    configuration: Mapping[str, str] | None = None,
) -> None:
    """A table of one commit and one file, as its log says it is."""
    (place / "_delta_log").mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2]}) if rows is None else rows, place / "f.parquet")
    schema = {"type": "struct", "fields": fields or [column("long")]}
    actions: list[Mapping[str, Any]] = [
        *([{"commitInfo": info}] if info is not None else []),
        {"protocol": protocol or {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": "11111111-1111-1111-1111-111111111111",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps(schema),
                "partitionColumns": [],
                "configuration": dict(configuration or {}),
                "createdTime": 0,
            }
        },
        {
            "add": {
                "path": "f.parquet",
                "partitionValues": {},
                "size": (place / "f.parquet").stat().st_size,
                "modificationTime": 0,
                "dataChange": True,
                **(add or {}),
            }
        },
    ]
    log = place / "_delta_log" / f"{0:020}.json"
    log.write_text("\n".join(map(json.dumps, actions)))


def column(kind: object, name: str = "id", **metadata: object) -> dict[str, Any]:
    """A column as the log describes it."""
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}
