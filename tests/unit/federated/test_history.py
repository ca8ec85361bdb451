from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from federated import rounds
from federated.history import SCHEMA, from_row, latest_training, to_row
from federated.outcomes import Round
from federated.spec import Federation

Make = Callable[..., Federation]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Stored:
    """Rows in the form of a snapshot."""

    def __init__(self, *tables: pa.Table) -> None:
        self._frame = pl.DataFrame(pa.concat_tables(tables))

    def scan(self) -> pl.LazyFrame:
        return self._frame.lazy()


@pytest.fixture
def spec(even: list[Any], federation: Make) -> Federation:
    return federation(even, strategy="fedadam")


@pytest.fixture
def done(even: list[Any], spec: Federation) -> list[Round]:
    completed: list[Round] = []
    rounds.run(spec, even, on_round=completed.append)
    return completed


def test_a_round_survives_storage(done: list[Round], spec: Federation) -> None:
    table = to_row(done[2], spec, "training_1", "t@7", NOW)
    assert table.schema.equals(SCHEMA)
    (row,) = table.to_pylist()
    assert (row["round"], row["spec_digest"], row["input_version"]) == (3, spec.digest, "t@7")
    assert Federation.from_json(row["spec"]) == spec
    restored = from_row(row)
    assert (restored.number, restored.metrics, restored.clients) == (3, done[2].metrics, done[2].clients)
    for arrays, expected in [(restored.weights, done[2].weights), (restored.optimizer, done[2].optimizer)]:
        assert {name: array.tobytes() for name, array in arrays.items()} == {
            name: array.tobytes() for name, array in expected.items()
        }
    assert restored.scaling.mean.tobytes() == done[2].scaling.mean.tobytes()


def test_the_newest_training_of_the_same_declaration_and_data_is_found(done: list[Round], spec: Federation) -> None:
    other = replace(spec, seed=99)
    stored = Stored(
        *(to_row(one, spec, "training_1", "t@7", NOW) for one in done),
        *(to_row(one, spec, "training_2", "t@7", NOW) for one in done[:2]),
        to_row(done[0], spec, "training_3", "t@8", NOW),
        to_row(done[0], other, "training_4", "t@7", NOW),
    )
    training = latest_training(stored, spec, "t@7")  # type: ignore[arg-type]
    assert training is not None
    assert (training.id, [item.number for item in training.rounds]) == ("training_2", [1, 2])
    assert latest_training(stored, replace(spec, seed=5), "t@7") is None  # type: ignore[arg-type]
    assert latest_training(stored, spec, "t@9") is None  # type: ignore[arg-type]


def test_rounds_after_a_gap_are_not_complete(done: list[Round], spec: Federation) -> None:
    stored = Stored(*(to_row(done[n], spec, "training_1", "t@7", NOW) for n in (0, 1, 3)))
    training = latest_training(stored, spec, "t@7")  # type: ignore[arg-type]
    assert training is not None
    assert [item.number for item in training.rounds] == [1, 2]
