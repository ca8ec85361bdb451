"""A small table of orders: its name, its columns and its rows."""

from __future__ import annotations

import pyarrow as pa

from lakehouse.tables import Snapshot

NAME = "shop.silver.orders"
SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), ("kind", pa.string()), ("price", pa.float64())])


def orders(*ids: int, kind: str = "book", price: float = 1.0) -> pa.Table:
    return pa.table({"id": list(ids), "kind": [kind] * len(ids), "price": [price] * len(ids)}, schema=SCHEMA)


def ids(snapshot: Snapshot) -> list[int]:
    return sorted(snapshot.to_arrow(columns=["id"])["id"].to_pylist())
