"""Which training a model version contains, and the verification of its artifact."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from core.db import Database
from core.errors import InvalidArgument, NotFound, TableDamaged, UnknownTable, UnknownVersion
from lakehouse.lineage import Lineage
from lakehouse.tables import Commit, Tables
from serving import loaders
from serving.loaders import load
from serving.registry import COLUMNS, artifact, find
from tests.unit.serving.clinic import FEATURES, MODEL

Train = Callable[..., Commit]


class TestFind:
    def test_without_a_version_the_newest_training_is_used(self, tables: Tables, train: Train) -> None:
        train()
        second = train()
        record = find(tables, MODEL)
        assert (record.model_id, record.version) == ("mdl_1", second.version)
        assert record.data_version == second.data_version
        assert record.threshold == 0.4
        assert record.features_version == tables.snapshot(FEATURES).data_version

    def test_an_older_version_selects_the_training_of_that_version(self, tables: Tables, train: Train) -> None:
        first = train()
        train()
        assert find(tables, MODEL, first.version).model_id == "mdl_0"

    def test_a_refused_training_is_served_only_by_number(self, tables: Tables, train: Train) -> None:
        first = train()
        refused = train(accepted=False)
        assert find(tables, MODEL).data_version == first.data_version
        record = find(tables, MODEL, refused.version)
        assert (record.model_id, record.accepted) == ("mdl_1", False)

    def test_maintenance_does_not_change_the_model(self, tables: Tables, train: Train) -> None:
        train()
        second = train()
        tables.optimize(MODEL)
        newest = tables.snapshot(MODEL).version
        assert newest > second.version
        assert find(tables, MODEL).data_version == second.data_version
        assert find(tables, MODEL, newest).data_version == second.data_version
        assert artifact(tables, find(tables, MODEL))

    def test_a_model_version_has_lineage(self, tables: Tables, train: Train, database: Database) -> None:
        train()
        tables.optimize(MODEL)
        record = find(tables, MODEL)
        edges = Lineage(database).provenance(MODEL, record.data_version)
        assert [(edge.in_asset, edge.in_version) for edge in edges] == [(FEATURES, record.features_version)]

    def test_errors_name_unknown_models_and_versions(self, tables: Tables, train: Train) -> None:
        with pytest.raises(UnknownTable, match=r"clinic\.models\.death"):
            find(tables, "clinic.models.death")
        train()
        with pytest.raises(UnknownVersion, match="7"):
            find(tables, MODEL, 7)

    def test_a_table_without_the_columns_of_a_model_is_refused(self, tables: Tables) -> None:
        with pytest.raises(NotFound, match="is a table but not a model"):
            find(tables, FEATURES)

    def test_a_model_with_only_refused_trainings_is_not_served(self, tables: Tables, train: Train) -> None:
        train(accepted=False)
        with pytest.raises(NotFound, match="None of the 1 trainings"):
            find(tables, MODEL)

    def test_a_model_without_trainings_is_not_served(self, tables: Tables, train: Train) -> None:
        train()
        tables.delete(MODEL, "true")
        with pytest.raises(NotFound, match="contains no training"):
            find(tables, MODEL)


class TestArtifact:
    def test_every_column_is_described(self, tables: Tables, train: Train) -> None:
        train()
        schema = tables.snapshot(MODEL).schema
        assert {field.name: (field.metadata or {})[b"comment"].decode() for field in schema} == COLUMNS

    def test_an_altered_artifact_is_refused(self, tables: Tables, train: Train) -> None:
        train()
        rows = tables.snapshot(MODEL).scan().collect()
        tampered = bytearray(rows["artifact"][0])
        tampered[len(tampered) // 2] ^= 1
        foisted = rows.with_columns(
            artifact=pl.lit(bytes(tampered)),
            model_id=pl.lit("mdl_x"),
            trained_at=pl.col("trained_at").dt.offset_by("1d"),
        )
        tables.append(MODEL, foisted)
        assert find(tables, MODEL).model_id == "mdl_x"
        with pytest.raises(TableDamaged, match="was altered: its digest is not"):
            artifact(tables, find(tables, MODEL))

    def test_a_rewritten_table_still_contains_the_trained_artifact(self, tables: Tables, train: Train) -> None:
        first = train()
        original = artifact(tables, find(tables, MODEL))
        rows = tables.snapshot(MODEL).scan().collect()
        tables.overwrite(MODEL, rows.with_columns(artifact=pl.lit(b"something else")))
        record = find(tables, MODEL)
        assert record.version == first.version  # the commit of the training, not the commit that copied its row
        assert artifact(tables, record) == original

    def test_another_format_is_refused(self, tables: Tables, train: Train) -> None:
        train(artifact=b"another format")
        rows = tables.snapshot(MODEL).scan().collect()
        tables.overwrite(MODEL, rows.with_columns(format=pl.lit("pickle")))
        with pytest.raises(InvalidArgument, match="only onnx is supported"):
            load(tables, MODEL)


class TestLoad:
    def test_one_session_per_digest(self, tables: Tables, train: Train) -> None:
        first = train()
        assert load(tables, MODEL).session is load(tables, MODEL, first.version).session
        train()
        assert load(tables, MODEL).session is not load(tables, MODEL, first.version).session

    def test_a_new_training_is_served_immediately(self, tables: Tables, train: Train) -> None:
        train()
        assert load(tables, MODEL).record.model_id == "mdl_0"
        train()
        assert load(tables, MODEL).record.model_id == "mdl_1"

    def test_the_cache_is_bounded(self) -> None:
        cache: loaders.Cache[int] = loaders.Cache(2)
        created: list[int] = []

        def value(n: int) -> int:
            return cache.get(n, lambda: created.append(n) or n)  # type: ignore[func-returns-value]

        assert [value(n) for n in (1, 2, 1, 3, 1, 2)] == [1, 2, 1, 3, 1, 2]
        assert created == [1, 2, 3, 2]  # 2 was the least recently used when 3 was added
        assert len(cache) == 2

    def test_errors_are_not_cached(self) -> None:
        cache: loaders.Cache[int] = loaders.Cache(2)
        with pytest.raises(ZeroDivisionError):
            cache.get(1, lambda: 1 // 0)
        assert cache.get(1, lambda: 5) == 5
