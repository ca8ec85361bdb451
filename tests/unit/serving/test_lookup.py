"""Looking up the features of an entity."""

from __future__ import annotations

import math

import polars as pl
import pytest

from core.errors import UnknownColumn
from lakehouse.tables import Tables
from serving.lookup import FeatureIndex
from tests.unit.serving.clinic import FEATURES, NAMES, visits


class TestFeatureIndex:
    def test_every_row_is_found_by_its_key(self, tables: Tables) -> None:
        index = FeatureIndex(tables.snapshot(FEATURES), ["visit"], NAMES)
        rows = visits()
        found_rows = index.find([(visit,) for visit in rows["visit"]])
        assert len(index) == len(found_rows) == 3000
        for position, (row, (age, dose, pulse)) in enumerate(
            zip(found_rows, rows.select(NAMES).iter_rows(), strict=True)
        ):
            assert row == position
            values = index.inputs(row).tolist()
            assert values[:2] == [age, dose]
            assert values[2] == pulse or (math.isnan(values[2]) and pulse is None)

    def test_an_unknown_key_is_not_found(self, tables: Tables) -> None:
        index = FeatureIndex(tables.snapshot(FEATURES), ["visit"], NAMES)
        assert index.find([("v1",), ("v3000",), ("",)]) == [1, None, None]

    def test_keys_with_equal_hashes_are_distinguished(self, tables: Tables) -> None:
        index = FeatureIndex(tables.snapshot(FEATURES), ["visit"], NAMES)
        index._hashes[:] = index._hashes[1500]  # as if all keys had one hash
        visits_with_hash = [visit for visit in index._keys if pl.Series([visit]).hash()[0] == index._hashes[0]]
        assert index.find([(visit,) for visit in visits_with_hash]) == [int(visit[1:]) for visit in visits_with_hash]
        assert index._match("no such visit", int(index._hashes[0]), len(index)) is None

    def test_the_last_duplicate_counts(self, tables: Tables) -> None:
        twice = pl.concat([visits(3), visits(3).with_columns(age=pl.lit(1.0, dtype=pl.Float32))])
        tables.overwrite("clinic.features.twice", twice)
        index = FeatureIndex(tables.snapshot("clinic.features.twice"), ["visit"], NAMES)
        assert index.find([("v1",)]) == [4]

    def test_keys_of_several_columns(self, tables: Tables) -> None:
        rows = visits(4).with_columns(site=pl.Series(["a", "a", "b", "b"]), number=pl.Series([1, 2, 1, 2]))
        tables.overwrite("clinic.features.sites", rows)
        index = FeatureIndex(tables.snapshot("clinic.features.sites"), ["site", "number"], NAMES)
        assert index.find([("b", "1"), ("a", "2"), ("a", "3")]) == [2, 1, None]

    def test_a_table_without_an_input_is_refused(self, tables: Tables) -> None:
        with pytest.raises(UnknownColumn, match="trained on another version"):
            FeatureIndex(tables.snapshot(FEATURES), ["visit"], [*NAMES, "weight"])

    def test_an_index_keeps_its_version(self, tables: Tables) -> None:
        index = FeatureIndex(tables.snapshot(FEATURES), ["visit"], NAMES)
        before = index.data_version
        tables.overwrite(FEATURES, visits(10))
        assert index.data_version == before
        assert index.find([("v2999",)]) == [2999]
