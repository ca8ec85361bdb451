from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from core.errors import InvalidArgument, SchemaMismatch, UnknownColumn
from federated import rounds
from federated.clients import predicate, reused_rows, shared_rows, table_sources
from federated.spec import Client, Federation
from lakehouse.tables import Tables
from tests.databases import with_tables

TABLE = "lab.features.visits"


def rows(count: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "site": rng.choice(["north", "south", "west"], size=count, p=[0.5, 0.4, 0.1]),
            "month": rng.integers(1, 13, size=count),
            "x": rng.normal(size=count).astype(np.float32),
            "n": rng.integers(0, 5, size=count),
            "ill": rng.random(count) < 0.4,
        }
    ).with_columns(
        pl.col("site").replace("west", None),
        pl.when(pl.int_range(count) % 5 > 0).then("x").alias("x"),
        pl.when(pl.int_range(count) % 9 > 0).then("ill").alias("ill"),
    )


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    database = with_tables(f"sqlite:///{tmp_path / 'metadata.db'}")
    tables = Tables(str(tmp_path / "lakehouse"), database)
    tables.overwrite(TABLE, rows())
    yield tables
    database.close()


def federation(**overrides: Any) -> Federation:
    clients = tuple(Client(name, TABLE, f"site = '{name}'") for name in ("north", "south"))
    values: dict[str, Any] = {"clients": clients, "features": ("x", "n"), "target": "ill", "rounds": 2}
    return Federation(**(values | {"train_where": "month <= 9", "holdout_where": "month > 9"} | overrides))


def test_a_source_has_the_rows_of_its_client_and_period_with_a_known_target(tables: Tables) -> None:
    spec = federation()
    _, south = table_sources({TABLE: tables.snapshot(TABLE)}, spec)
    for examples, period in [(south.train(), pl.col("month") <= 9), (south.holdout(), pl.col("month") > 9)]:
        known = rows().filter((pl.col("site") == "south") & period & pl.col("ill").is_not_null())
        expected = known.select("x", "n", "ill").sort("x", "n", "ill")
        np.testing.assert_array_equal(
            examples.x, expected.select(pl.col("x", "n").cast(pl.Float64)).fill_null(np.nan).to_numpy()
        )
        np.testing.assert_array_equal(examples.y, expected["ill"].cast(pl.Float64).to_numpy())
        assert np.isnan(examples.x[:, 0]).sum() == expected["x"].null_count() > 0


def test_rows_added_later_are_not_in_the_source_of_a_snapshot(tables: Tables) -> None:
    north, _ = table_sources({TABLE: tables.snapshot(TABLE)}, federation())
    before = rows().filter((pl.col("site") == "north") & (pl.col("month") <= 9) & pl.col("ill").is_not_null()).height
    tables.append(TABLE, rows())
    assert len(north.train()) == before


def test_the_file_layout_does_not_change_the_weights(tables: Tables) -> None:
    spec = federation()

    def weights() -> bytes:
        done = rounds.run(spec, table_sources({TABLE: tables.snapshot(TABLE)}, spec))
        return done.weights["weights"].tobytes() + done.weights["bias"].tobytes()

    first = weights()
    tables.overwrite(TABLE, rows().sample(fraction=1, shuffle=True, seed=3)[:150])
    tables.append(TABLE, rows().sample(fraction=1, shuffle=True, seed=3)[150:])
    assert weights() == first
    tables.optimize(TABLE, zorder_by=["month"])
    assert weights() == first


def test_the_error_for_a_missing_column_lists_the_columns(tables: Tables) -> None:
    with pytest.raises(UnknownColumn, match=r"has no column y\. Columns: ill, month, n, site, x\."):
        table_sources({TABLE: tables.snapshot(TABLE)}, federation(features=("x", "y")))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"features": ("x", "site")}, "Feature site of .* is (large_)?string"),
        ({"target": "month"}, "Target month .* is int"),
    ],
)
def test_a_column_of_the_wrong_type_is_named(tables: Tables, change: dict[str, Any], named: str) -> None:
    with pytest.raises(SchemaMismatch, match=named):
        table_sources({TABLE: tables.snapshot(TABLE)}, federation(**change))


@pytest.mark.parametrize("where", ["site =", "SELECT 1; DROP TABLE x", ""])
def test_invalid_predicates_are_refused(where: str) -> None:
    with pytest.raises(InvalidArgument, match="not a SQL predicate"):
        predicate(where)


def test_shared_and_reused_rows_are_counted(tables: Tables) -> None:
    snapshots = {TABLE: tables.snapshot(TABLE)}
    assert shared_rows(snapshots, federation()) == 0
    assert reused_rows(snapshots, federation()) == 0
    greedy = (Client("north", TABLE, "site = 'north'"), Client("most", TABLE, "site <> 'south'"))
    assert shared_rows(snapshots, federation(clients=greedy)) == rows().filter(pl.col("site") == "north").height
    reused = rows().filter(pl.col("site").is_in(["north", "south"]) & (pl.col("month") == 9)).height
    assert reused_rows(snapshots, federation(holdout_where="month >= 9")) == reused > 0
