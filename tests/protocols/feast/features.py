"""Uses the unmodified Feast client with the remote online store. Runs in the environment of `make setup-feast`.

Each function is a case. The program prints a JSON object: the traceback of each case, or an empty text if it passed.
"""

from __future__ import annotations

import json
import os
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import requests

from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RepoConfig,
    ValueType,
)
from feast.types import Float64, Int64

URL, TOKEN = os.environ["FEAST_URL"], os.environ["FEAST_TOKEN"]
CASES: dict[str, Callable[[FeatureStore], None]] = {}


def case(function: Callable[[FeatureStore], None]) -> Callable[[FeatureStore], None]:
    CASES[function.__name__] = function
    return function


def opened(folder: str) -> FeatureStore:
    """A registry of the client with the names of the platform, and its online store over REST."""
    config = RepoConfig(
        project="flights",
        registry=f"{folder}/registry.db",
        provider="local",
        online_store={"type": "remote", "path": f"{URL}/feast/flights", "connection_retries": 0},
        auth={"type": "oidc", "token": TOKEN},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.INT64)
    batch = FileSource(path=f"{folder}/none.parquet", timestamp_field="seen_at")
    view = FeatureView(
        name="daily_spending",
        entities=[customer],
        ttl=timedelta(0),
        schema=[
            Field(name="customer", dtype=Int64),
            Field(name="spent", dtype=Float64),
            Field(name="visits", dtype=Int64),
        ],
        source=PushSource(name="daily_spending", batch_source=batch),
    )
    frame = {"customer": [0], "seen_at": pd.to_datetime(["2026-03-01T00:00:00Z"]), "spent": [0.0], "visits": [0]}
    pd.DataFrame(frame).to_parquet(f"{folder}/none.parquet")
    store.apply([customer, view, FeatureService(name="churn", features=[view])])
    return store


def values(store: FeatureStore, features: Any, *customers: Any, **options: Any) -> dict[str, list[Any]]:
    rows = [{"customer": one} for one in customers]
    return store.get_online_features(features=features, entity_rows=rows, **options).to_dict()


@case
def single_features(store: FeatureStore) -> None:
    found = values(store, ["daily_spending:spent", "daily_spending:visits"], 0, 1, 9)
    assert found == {"customer": [0, 1, 9], "spent": [1.5, None, None], "visits": [2**53 + 1] * 2 + [None]}, found


@case
def a_feature_service(store: FeatureStore) -> None:
    found = values(store, store.get_feature_service("churn"), 0)
    assert (found["spent"], found["visits"]) == ([1.5], [2**53 + 1]), found


@case
def full_names(store: FeatureStore) -> None:
    found = values(store, ["daily_spending:spent"], 0, full_feature_names=True)
    assert found["daily_spending__spent"] == [1.5], found


@case
def a_thousand_entities(store: FeatureStore) -> None:
    found = values(store, ["daily_spending:spent"], *range(1000))
    assert len(found["spent"]) == 1000


@case
def unknown_names_are_refused(store: FeatureStore) -> None:
    for body in (
        {"features": ["nope:spent"]},
        {"features": ["daily_spending:nope"]},
        {"feature_service": "nope"},
        {"features": ["daily_spending@v2:spent"]},
        {},
    ):
        answer = requests.post(
            f"{URL}/feast/flights/get-online-features",
            json={"entities": {"customer": [0]}, **body},
            headers={"authorization": f"Bearer {TOKEN}"},
            timeout=60,
        )
        assert answer.status_code in (400, 404, 409, 422), (body, answer.text)
        assert answer.json()["detail"], body


@case
def written_rows_are_read(store: FeatureStore) -> None:
    rows = {
        "customer": [5],
        "event_timestamp": [datetime(2026, 3, 2, tzinfo=UTC)],
        "created": [datetime(2026, 3, 2, tzinfo=UTC)],
    }
    frame = pd.DataFrame(rows | {"seen_at": [datetime(2026, 3, 2, tzinfo=UTC)], "spent": [7.25], "visits": [2**62]})
    store.write_to_online_store("daily_spending", frame)
    found = values(store, ["daily_spending:spent", "daily_spending:visits"], 5)
    assert (found["spent"], found["visits"]) == ([7.25], [2**62]), found


@case
def pushed_rows_are_read(store: FeatureStore) -> None:
    frame = pd.DataFrame(
        {"customer": [6], "seen_at": [datetime(2026, 3, 3, tzinfo=UTC)], "spent": [8.5], "visits": [1]}
    )
    store.push("daily_spending", frame)
    assert values(store, ["daily_spending:spent"], 6)["spent"] == [8.5]


def main() -> None:
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        store = opened(folder)
        for name, run in CASES.items():
            try:
                run(store)
                results[name] = ""
            except Exception:
                results[name] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
