"""Fixtures: a small lakehouse with a feature table and a model trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.db import Database
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Commit, Tables
from serving.registry import Candidate
from tests.databases import with_tables
from tests.unit.serving.clinic import FEATURES, MODEL, artifact, signature, visits


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = with_tables(f"sqlite:///{tmp_path / 'metadata.db'}")
    yield database
    database.close()


@pytest.fixture
def tables(tmp_path: Path, database: Database) -> Tables:
    tables = Tables(str(tmp_path / "lakehouse"), database)
    tables.overwrite(FEATURES, visits())
    return tables


@pytest.fixture
def train(tables: Tables, database: Database) -> Callable[..., Commit]:
    """Trains on the feature table and appends the training to the model's table, as the asset does."""
    trainings = iter(range(1000))

    def train(*, accepted: bool = True, **changes: Any) -> Commit:
        number = next(trainings)
        rows = visits()
        step = Step(
            tables,
            Lineage(database),
            asset=MODEL,
            run=f"run-{number}",
            step="train",
            code_version="1",
            engine="scikit-learn",
            principal="tester",
        )
        snapshot = step.read(FEATURES)
        fields: dict[str, Any] = {
            "model_id": f"mdl_{number}",
            "artifact": artifact(30 + number),
            "signature": signature(rows),
            "threshold": 0.4,
            "metrics": {"auc": 0.9},
            "baseline": {"auc": 0.5},
            "checks": {"beats_base_rate": accepted},
            "parameters": {"seed": number},
            "features_version": snapshot.data_version,
            "trained_rows": rows.height,
            "trained_at": datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number),
        }
        candidate = Candidate(**(fields | changes))
        return step.append(candidate.row(), once=candidate.model_id)

    return train
