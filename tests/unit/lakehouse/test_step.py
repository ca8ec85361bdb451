"""A step reads one version of each input and leaves exact lineage, also when it dies half-way."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from core.db import Database
from core.errors import Unavailable, UnknownColumn, UnknownTable
from lakehouse.environment import env_digest, git_sha, params_digest
from lakehouse.lineage import LINEAGE_EDGE, Edge, Lineage
from lakehouse.repair import repair_lineage, repair_recent
from lakehouse.step import Step
from lakehouse.tables import Tables

SOURCE, OTHER, TARGET = "shop.bronze.orders", "shop.bronze.items", "shop.silver.orders"


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "kind": pa.array(["a"] * len(ids), pa.string())})


@pytest.fixture
def sources(tables: Tables) -> Tables:
    tables.append(SOURCE, rows(1))
    tables.append(SOURCE, rows(2))
    tables.append(OTHER, rows(7))
    return tables


def step(tables: Tables, lineage: Lineage, run: str = "run-1", params: Mapping[str, Any] = {}) -> Step:
    return Step(
        tables,
        lineage,
        asset=TARGET,
        run=run,
        step="silver",
        code_version="c1",
        engine="polars",
        principal="ada",
        params=params,
    )


def inputs(edges: list[Edge]) -> set[tuple[str, str]]:
    return {(edge.in_asset, edge.in_version) for edge in edges}


class TestRead:
    def test_resolves_a_version_once_for_the_whole_step(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        first = current.read(SOURCE)
        sources.append(SOURCE, rows(3))
        again = current.read(SOURCE)
        assert first.version == again.version == 1
        commit = current.overwrite(again.to_arrow())
        (edge,) = lineage.provenance(TARGET, commit.data_version)
        assert (edge.in_asset, edge.in_version) == (SOURCE, first.data_version)
        assert sources.snapshot(TARGET).row_count == 2

    def test_reads_the_version_it_is_told(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        assert current.read(SOURCE, version=0).row_count == 1
        assert current.read(SOURCE).version == 0

    def test_two_versions_of_one_table_are_two_inputs(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        old, new = current.read(SOURCE, version=0), current.read(SOURCE, version=1)
        commit = current.overwrite(new.to_arrow())
        assert inputs(lineage.provenance(TARGET, commit.data_version)) == {
            (SOURCE, old.data_version),
            (SOURCE, new.data_version),
        }

    def test_records_the_columns_that_are_read(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        current.read(SOURCE, columns=["kind"])
        current.read(SOURCE, columns=["id"])
        current.read(OTHER, columns=["id"])
        current.read(OTHER)
        commit = current.overwrite(rows(1))
        columns = {edge.in_asset: edge.in_columns for edge in lineage.provenance(TARGET, commit.data_version)}
        assert columns == {SOURCE: ("id", "kind"), OTHER: ()}

    def test_records_which_columns_each_written_column_comes_from(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        current.read(SOURCE)
        current.declare_columns({"id": [(SOURCE, "id")], "kind": [(SOURCE, "kind"), (OTHER, "id")]})
        commit = current.overwrite(rows(1))
        (record,) = lineage.column_sources(TARGET, commit.data_version)
        assert (record.run, record.step) == ("run-1", "silver")
        assert record.sources == {"id": [(SOURCE, "id")], "kind": [(OTHER, "id"), (SOURCE, "kind")]}
        assert record.computed_from(SOURCE, "kind") == ["kind"]

    def test_repairs_the_columns_of_a_writer_that_died(
        self, sources: Tables, lineage: Lineage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        current = step(sources, lineage)
        current.read(SOURCE)
        current.declare_columns({"id": [(SOURCE, "id")], "kind": []})
        with monkeypatch.context() as patch:
            patch.setattr(Lineage, "record", lambda *_: (_ for _ in ()).throw(Unavailable("away")))
            commit = current.overwrite(rows(1))
        assert lineage.column_sources(TARGET, commit.data_version) == []
        assert repair_lineage(sources, lineage, [TARGET]) == 1
        (record,) = lineage.column_sources(TARGET, commit.data_version)
        assert record.sources == {"id": [(SOURCE, "id")], "kind": []}

    def test_columns_that_nobody_declared_are_unknown(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        current.read(SOURCE)
        wide = {f"c{n}": [(SOURCE, f"c{m}") for m in range(100)] for n in range(100)}
        for declared in (None, wide):
            current.declare_columns(declared)
            commit = current.append(rows(1))
            assert lineage.column_sources(TARGET, commit.data_version) == []

    def test_says_what_exists(self, sources: Tables, lineage: Lineage) -> None:
        with pytest.raises(UnknownTable, match=r"no table shop\.bronze\.order\."):
            step(sources, lineage).read("shop.bronze.order")
        with pytest.raises(UnknownColumn, match="It has id, kind"):
            step(sources, lineage).read(SOURCE, columns=["price"])


class TestWrite:
    def test_records_who_what_how_and_with_which_code(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage, params={"year": 2013})
        current.read(SOURCE)
        current.use("model:delay", "7", ["weights"])
        current.engine = "duckdb"
        commit = current.overwrite(rows(1))
        edges = lineage.provenance(TARGET, commit.data_version)
        assert inputs(edges) == {(SOURCE, sources.snapshot(SOURCE).data_version), ("model:delay", "7")}
        for edge in edges:
            assert (edge.run, edge.step, edge.code_version, edge.principal) == ("run-1", "silver", "c1", "ada")
            assert (edge.engine, edge.git_sha, edge.env_digest) == ("duckdb", git_sha(), env_digest())
            assert edge.params_digest == params_digest({"year": 2013}) != ""
            assert edge.at == commit.committed_at

    def test_what_continues_a_table_comes_from_the_version_before(self, sources: Tables, lineage: Lineage) -> None:
        made = step(sources, lineage).append(rows(1))
        current = step(sources, lineage, run="run-2")
        current.read(SOURCE)
        source = (SOURCE, sources.snapshot(SOURCE).data_version)
        for write in (
            lambda: current.append(rows(2)),
            lambda: current.merge(rows(2, 3), ["id"]),
            lambda: current.delete("id = 2"),
            lambda: current.overwrite(rows(5), where="id = 5"),
        ):
            before = sources.snapshot(TARGET).data_version
            assert inputs(lineage.provenance(TARGET, write().data_version)) == {source, (TARGET, before)}
        whole = current.overwrite(rows(9))
        assert inputs(lineage.provenance(TARGET, whole.data_version)) == {source}
        assert inputs(lineage.provenance(TARGET, made.data_version)) == {("", "")}
        behind = {node.asset for node in lineage.upstream(TARGET, made.data_version).nodes}
        assert behind == {TARGET}

    def test_what_changes_nothing_leaves_no_edge(self, sources: Tables, lineage: Lineage) -> None:
        made = step(sources, lineage).append(rows(1))
        commit = step(sources, lineage, run="run-2").delete("id = 99")
        assert not commit.changed
        assert {edge.run for edge in lineage.provenance(TARGET, made.data_version)} == {"run-1"}

    def test_passes_options_on(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        current.overwrite(rows(1), partition_by=["kind"])
        assert sources.snapshot(TARGET).partition_columns == ["kind"]
        assert current.append(rows(2), once="a").changed
        assert not current.append(rows(2), once="a").changed

    def test_an_output_that_is_no_table_has_edges_too(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        snapshot = current.read(SOURCE)
        current.record_output("answer-1")
        assert inputs(lineage.provenance(TARGET, "answer-1")) == {(SOURCE, snapshot.data_version)}


class Died(BaseException):
    """Stands for a process that ends here: nothing catches it."""


class TestRepair:
    @pytest.fixture
    def torn(self, sources: Tables, lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> Tables:
        """The second of three commits whose process died before its edges were recorded."""
        step(sources, lineage, run="run-1").append(rows(1))
        current = step(sources, lineage, run="run-2")
        current.read(SOURCE, columns=["id"])

        def die(*_: object) -> None:
            raise Died

        with monkeypatch.context() as patch:
            patch.setattr(lineage, "record", die)
            with pytest.raises(Died):
                current.append(rows(2))
        return sources

    def test_records_what_the_commit_tells(self, torn: Tables, lineage: Lineage) -> None:
        version = torn.snapshot(TARGET)
        assert lineage.provenance(TARGET, version.data_version) == []
        assert repair_lineage(torn, lineage) == 1
        edges = lineage.provenance(TARGET, version.data_version)
        assert inputs(edges) == {
            (SOURCE, torn.snapshot(SOURCE).data_version),
            (TARGET, f"{version.table_id}@0"),
        }
        assert {edge.in_asset: edge.in_columns for edge in edges}[SOURCE] == ("id",)
        assert {(edge.run, edge.principal, edge.git_sha) for edge in edges} == {("run-2", "ada", git_sha())}
        assert {edge.at for edge in edges} == {torn.history(TARGET)[0].committed_at}
        assert repair_lineage(torn, lineage) == 0

    def test_happens_at_the_next_step_on_the_asset(self, torn: Tables, lineage: Lineage) -> None:
        lost = torn.snapshot(TARGET).data_version
        step(torn, lineage, run="run-3").append(rows(3))
        assert {edge.run for edge in lineage.provenance(TARGET, lost)} == {"run-2"}
        assert lineage.latest(TARGET) == torn.snapshot(TARGET).data_version

    def test_gives_what_recording_would_have_given(self, sources: Tables, database: Database) -> None:
        lineage = Lineage(database)
        for number in range(3):
            current = step(sources, lineage, run=f"run-{number}")
            current.read(SOURCE)
            current.append(rows(number))
        newest = sources.snapshot(TARGET).data_version
        recorded = Lineage(database).upstream(TARGET, newest)
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM lineage_edge")
        assert repair_lineage(sources, Lineage(database)) == 3
        assert Lineage(database).upstream(TARGET, newest) == recorded

    def test_a_database_that_is_away_does_not_fail_a_write_that_stands(
        self, sources: Tables, lineage: Lineage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def away(*_: object) -> None:
            raise Unavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(lineage, "record", away)
            commit = step(sources, lineage).append(rows(1))
        assert commit.changed
        assert "not recorded" in caplog.text
        assert repair_lineage(sources, lineage, [TARGET]) == 1
        assert len(lineage.provenance(TARGET, commit.data_version)) == 1

    def test_leaves_commits_of_others_alone(self, sources: Tables, lineage: Lineage) -> None:
        assert repair_lineage(sources, lineage) == 0

    def test_spark_can_carry_the_facts(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        current.read(SOURCE)
        facts = json.loads(current.commit_metadata(continues=False))
        sources.overwrite(TARGET, rows(1), user_metadata=facts)  # as an engine that commits by itself
        version = sources.snapshot(TARGET).data_version
        assert repair_lineage(sources, lineage) == 1
        assert inputs(lineage.provenance(TARGET, version)) == {(SOURCE, sources.snapshot(SOURCE).data_version)}


class TestEnvironment:
    def test_git_sha_is_the_commit_checked_out(self) -> None:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        # Another commit may be made while the tests run: it is computed once.
        assert git_sha() == head.stdout.strip() or len(git_sha()) in (0, 40)

    def test_env_digest_tells_environments_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from lakehouse import environment

        class Installed:
            def __init__(self, name: str, version: str) -> None:
                self.name, self.version = name, version

        def digest(*installed: Installed) -> str:
            monkeypatch.setattr(environment, "distributions", lambda: installed)
            environment.env_digest.cache_clear()
            return environment.env_digest()

        try:
            a, b = Installed("A", "1"), Installed("b", "2")
            assert digest(a, b) == digest(b, a) == hashlib.sha256(b"a==1\nb==2").hexdigest()
            assert digest(a) != digest(Installed("A", "2"))
        finally:
            monkeypatch.undo()
            environment.env_digest.cache_clear()

    def test_params_digest_is_canonical(self) -> None:
        assert params_digest({"a": 1, "b": [2]}) == params_digest({"b": [2], "a": 1}) != params_digest({"a": 2})
        assert params_digest({}) == ""


def test_scans_of_a_step_are_polars_frames(sources: Tables, lineage: Lineage) -> None:
    current = step(sources, lineage)
    frame = current.read(SOURCE).scan().with_columns(twice=pl.col("id") * 2)
    current.overwrite(frame)
    assert sorted(sources.snapshot(TARGET).to_arrow()["twice"].to_pylist()) == [2, 4]


class TestEntireLogs:
    def test_a_gap_behind_recorded_versions_is_repaired_too(self, sources: Tables, lineage: Lineage) -> None:
        for number in range(3):
            current = step(sources, lineage, run=f"run-{number}")
            current.read(SOURCE)
            current.append(rows(number))
        versions = [f"{sources.snapshot(TARGET).table_id}@{number}" for number in range(3)]
        recorded = {version: set(lineage.provenance(TARGET, version)) for version in versions}
        with lineage.database.write() as connection:
            connection.execute(LINEAGE_EDGE.delete().where(LINEAGE_EDGE.c.out_version.in_(versions[:2])))
        assert repair_recent(sources, lineage, TARGET) == 0, "looks back to what is on record"
        assert repair_lineage(sources, lineage, [TARGET]) == 2
        for version in versions:
            assert inputs(lineage.provenance(TARGET, version)) == inputs(list(recorded[version]))
        assert repair_lineage(sources, lineage, [TARGET]) == 0


class TestOtherVersions:
    def test_reading_another_version_leaves_the_step_at_its_own(self, sources: Tables, lineage: Lineage) -> None:
        current = step(sources, lineage)
        newest = current.read(SOURCE)
        sources.append(SOURCE, rows(3))
        assert current.read(SOURCE, version=0).version == 0
        assert current.read(SOURCE).version == newest.version == 1
        assert current.read(SOURCE, version=newest.version).version == newest.version
        assert {version for _, version in current.inputs} == {newest.data_version, f"{newest.table_id}@0"}

    def test_every_version_is_admitted_before_it_is_read(self, sources: Tables, lineage: Lineage) -> None:
        admitted: list[tuple[str, int]] = []
        current = Step(
            sources,
            lineage,
            asset=SOURCE,
            run="run",
            step="s",
            code_version="1",
            engine="polars",
            principal="ada",
            check_input=lambda snapshot: admitted.append((snapshot.table, snapshot.version)),
        )
        for table, version in ((OTHER, None), (OTHER, None), (SOURCE, None), (SOURCE, 0)):
            current.read(table, version=version)
        assert admitted == [(OTHER, 0)], "each version of other tables once, and none of this table"
