"""Predictions by `Predictor` against the plain way.

For a known flight: a filtered Polars scan of the Delta table and a bare onnxruntime session. For given inputs: the bare
session alone. The feature table has the sample's full size, 336,776 flights and 47 inputs; both sides answer the same
requests in turn.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

REQUESTS = 60
MODEL, FEATURES = "flights.models.arrival_delay", "flights.features.departures"


def run() -> list[dict[str, Any]]:
    """Rows of the report."""
    with tempfile.TemporaryDirectory() as folder:
        return _measured(Path(folder))


def _measured(folder: Path) -> list[dict[str, Any]]:
    import numpy as np
    import polars as pl

    from core.db import METADATA, Database
    from lakehouse.tables import Tables
    from serving.loaders import load
    from serving.predictor import Predictor

    database = Database(f"sqlite:///{folder / 'metadata.db'}")
    tables = Tables(str(folder / "lakehouse"), database)
    METADATA.create_all(database.engine)
    names, rows = _prepared(tables)
    predictor, session = Predictor(tables), load(tables, MODEL).session
    keys = rows["flight_id"].sample(REQUESTS, seed=3).to_list()
    snapshot = tables.snapshot(FEATURES)

    def plain_lookup(key: str) -> float:
        found = snapshot.scan().filter(pl.col("flight_id") == key).select(names).collect()
        inputs = found.fill_null(float("nan")).to_numpy()
        return float(session.run(["probabilities"], {"features": inputs})[0][0, 1])

    def plain_call(key: str) -> float:
        inputs = np.full((1, len(names)), 1.0, dtype=np.float32)
        return float(session.run(["probabilities"], {"features": inputs})[0][0, 1])

    def headwater(key: str) -> float:
        return predictor.predict(MODEL, [{"flight_id": key}]).predictions[0].probability

    def ours_explained(key: str) -> float:
        return predictor.predict(MODEL, [{"flight_id": key}], explain=True).predictions[0].probability

    def ours_given(key: str) -> float:
        return predictor.predict(MODEL, [dict.fromkeys(names, 1.0)]).predictions[0].probability

    differences = [abs(headwater(key) - plain_lookup(key)) for key in keys[:20]]  # also loads the index
    assert max(differences) < 1e-6, "both ways must give the same probabilities"
    return [
        _row("one flight by its id", "Polars scan of the Delta table + onnxruntime", headwater, plain_lookup, keys),
        _row("one flight by its id, explained", "the same without explanation", ours_explained, plain_lookup, keys),
        _row("one flight by given inputs", "bare onnxruntime, nothing checked", ours_given, plain_call, keys),
    ]


def _prepared(tables: Any) -> tuple[list[str], Any]:
    from assets.features.component import FeatureViewComponent
    from assets.features.point_in_time import build
    from assets.models import data
    from assets.models.boosting import fit, to_onnx
    from assets.models.component import ModelTrainingComponent
    from serving.registry import Candidate
    from serving.signature import Signature
    from tests import sample

    view = FeatureViewComponent.model_validate(sample.attributes("features"))
    model = ModelTrainingComponent.model_validate(sample.attributes("models"))
    rows = build(view, {"flights": sample.flights(), "weather": sample.weather()})
    tables.overwrite(FEATURES, rows)
    names = view.features
    columns = data.columns_used(names, "late", model.splits(), [])
    prepared = data.prepare(rows.select(columns), names, "late", model.splits(), [])
    artifact = to_onnx(fit(prepared.train, prepared.tuning, model.parameters, model.seed).estimator, len(names))
    signature = Signature(tuple(prepared.features), "late", FEATURES, ("flight_id",))
    nothing: dict[str, Any] = {"metrics": {}, "baseline": {}, "checks": {}, "parameters": {}, "features_version": ""}
    at = datetime(2024, 1, 1, tzinfo=UTC)
    candidate = Candidate("mdl_bench", artifact, signature, 0.2, trained_rows=1, trained_at=at, **nothing)
    tables.append(MODEL, candidate.row(), once="mdl_bench")
    return names, rows


def _row(
    name: str, peer: str, headwater: Callable[[str], float], theirs: Callable[[str], float], keys: list[str]
) -> dict[str, Any]:
    measured, other = [], []
    for key in keys:
        for function, times in ((headwater, measured), (theirs, other)):
            start = time.perf_counter()
            function(key)
            times.append((time.perf_counter() - start) * 1e3)
    return {
        "name": name,
        "peer": peer,
        "ours_ms": round(median(measured), 3),
        "peer_ms": round(median(other), 3),
        "ratio": round(median(other) / median(measured), 2),
        "goal": "none set",
        "note": f"times faster than the peer; median of {len(keys)}, warm; 336,776 flights, 47 inputs",
    }


def main() -> None:
    """Prints the rows."""
    for row in run():
        print(f"{row['name']}: ours {row['ours_ms']} ms, {row['peer']} {row['peer_ms']} ms, {row['ratio']} x")


if __name__ == "__main__":
    main()
