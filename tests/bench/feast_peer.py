"""Feast with the rows of the bench: its feature server, and its historical retrieval. Runs in `.venv-feast`."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.feature_server import get_app
from feast.types import Float64, Int64

FEATURES = [f"stats:f{number}" for number in range(10)]


def opened(folder: Path) -> FeatureStore:
    """Returns a store with SQLite online and files offline, which are Feast's defaults."""
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            registry=str(folder / "registry.db"),
            provider="local",
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    entity = Entity(name="customer", join_keys=["customer"], value_type=ValueType.INT64)
    source = FileSource(path=str(folder / "stats.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name="customer", dtype=Int64), *(Field(name=f"f{n}", dtype=Float64) for n in range(10))]
    view = FeatureView(name="stats", entities=[entity], ttl=timedelta(days=3650), schema=schema, source=source)
    store.apply([entity, view])
    return store


def serve(folder: Path, port: int) -> None:
    """Serves the newest rows."""
    import uvicorn

    store = opened(folder)
    store.materialize(pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-12-31", tz="UTC"))
    uvicorn.run(get_app(store), host="127.0.0.1", port=port, log_level="error")


def history(folder: Path) -> None:
    """Prints the seconds of two retrievals, and the sum of a feature."""
    store = opened(folder)
    spine = pd.read_parquet(folder / "spine.parquet")
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        found = store.get_historical_features(entity_df=spine, features=FEATURES).to_df()
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds, "rows": len(found), "sum": float(found["f0"].sum())}))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        history(Path(sys.argv[2]))
