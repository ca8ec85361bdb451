"""A small feature table, and models trained on it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from assets.models.boosting import to_onnx
from serving.signature import Feature, Signature

FEATURES = "clinic.features.visits"
MODEL = "clinic.models.relapse"
NAMES = ["age", "dose", "pulse"]


@cache
def visits(count: int = 3000) -> pl.DataFrame:
    """Rows in which age and dose determine the target. The pulse is noise, and missing in a third of the rows."""
    rng = np.random.default_rng(3)
    age, dose, pulse = rng.uniform(20, 90, count), rng.uniform(0, 5, count), rng.normal(70, 9, count)
    relapse = rng.random(count) < 1 / (1 + np.exp(-(age - 55) / 8 + dose))
    return pl.DataFrame(
        {
            "visit": [f"v{n}" for n in range(count)],
            "age": age.astype(np.float32),
            "dose": dose.astype(np.float32),
            "pulse": [None if n % 3 == 0 else float(value) for n, value in enumerate(pulse)],
            "relapse": relapse,
        },
        schema_overrides={"pulse": pl.Float32},
    )


def signature(rows: pl.DataFrame) -> Signature:
    return Signature(
        features=tuple(
            Feature(
                name,
                float(rows[name].min()),  # type: ignore[arg-type]
                float(rows[name].max()),  # type: ignore[arg-type]
                float(rows[name].median()),  # type: ignore[arg-type]
                rows[name].null_count() / rows.height,
            )
            for name in NAMES
        ),
        target="relapse",
        entity_table=FEATURES,
        entity_key=("visit",),
    )


def matrix(rows: pl.DataFrame) -> Any:
    return rows.select(pl.col(NAMES).fill_null(float("nan"))).to_numpy()


@cache
def estimator(trees: int = 30) -> HistGradientBoostingClassifier:
    """Returns a model fitted on all visits. Different numbers of trees distinguish trainings."""
    fitted = HistGradientBoostingClassifier(max_iter=trees, max_leaf_nodes=8, random_state=0, early_stopping=False)
    with threadpool_limits(1):
        return fitted.fit(matrix(visits()), visits()["relapse"].to_numpy())


@cache
def artifact(trees: int = 30) -> bytes:
    """Returns the model as ONNX."""
    return to_onnx(estimator(trees), len(NAMES))
