"""Lineage: exact, immutable, walked within limits."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from core.db import Database
from lakehouse.graph import LineageGraph
from lakehouse.lineage import LINEAGE_EDGE, Edge, Lineage
from lakehouse.lineage_index import LineageIndex
from lakehouse.lineage_walk import walk

EDGE = Edge(
    run="run-1",
    step="step",
    out_asset="p.gold.b",
    out_version="b@0",
    in_asset="p.silver.a",
    in_version="a@0",
    in_columns=("x", "y"),
    code_version="code",
    git_sha="f00",
    env_digest="e",
    engine="polars",
    params_digest="",
    principal="ada",
    at=datetime(2024, 1, 1, tzinfo=UTC),
)


def edge(out: str, source: str, run: str = "run-1") -> Edge:
    """`edge("b@1", "a@0")`: assets are named after the table id of their version."""
    names = {"out_asset": out.split("@")[0], "out_version": out, "in_asset": source.split("@")[0], "in_version": source}
    return replace(EDGE, run=run, **names)


def versions(graph: LineageGraph) -> list[str]:
    return [node.version for node in graph.nodes]


class TestRecord:
    def test_is_provenance(self, any_database: Database) -> None:
        lineage = Lineage(any_database)
        other = replace(EDGE, in_asset="p.silver.c", in_version="c@4", in_columns=())
        lineage.record([EDGE, other])
        assert lineage.provenance("p.gold.b", "b@0") == [EDGE, other]
        assert lineage.provenance("p.gold.b", "b@1") == []

    def test_leaves_what_is_on_record_as_it_is(self, any_database: Database) -> None:
        lineage = Lineage(any_database)
        lineage.record([EDGE])
        lineage.record([EDGE, replace(EDGE, engine="spark", principal="eve"), replace(EDGE, run="run-2")])
        assert [(e.run, e.engine, e.principal) for e in lineage.provenance("p.gold.b", "b@0")] == [
            ("run-1", "polars", "ada"),
            ("run-2", "polars", "ada"),
        ]

    def test_is_read_in_parts_or_at_once(self, any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lakehouse.lineage._PART", 2)
        whole, parts = Lineage(any_database), Lineage(any_database)
        whole.record([replace(EDGE, out_version=f"b@{number}") for number in range(5)])
        assert [parts.load_part(), parts._index.edges] == [True, 2]
        assert parts.upstream("p.gold.b", "b@4") == whole.upstream("p.gold.b", "b@4"), "a request reads the rest"
        assert [parts.load_part(), parts._index.edges] == [False, 5]
        restarted = Lineage(any_database)
        assert [restarted.load_part() for _ in range(3)] == [True, True, False]
        assert restarted.upstream("p.gold.b", "b@4") == whole.upstream("p.gold.b", "b@4")

    def test_of_nothing_is_nothing(self, lineage: Lineage) -> None:
        lineage.record([])
        assert lineage.upstream("p.gold.b") == LineageGraph((), (), truncated=False)


class TestWalk:
    def test_follows_versions_both_ways(self, any_database: Database) -> None:
        lineage = Lineage(any_database)
        lineage.record([edge("b@0", "a@3"), edge("c@0", "b@0"), edge("d@0", "b@0"), edge("b@1", "a@4")])
        assert versions(lineage.upstream("c", "c@0")) == ["c@0", "b@0", "a@3"]
        assert set(versions(lineage.downstream("a", "a@3"))) == {"a@3", "b@0", "c@0", "d@0"}
        assert versions(lineage.downstream("a", "a@4")) == ["a@4", "b@1"]
        (first, *_) = lineage.upstream("c", "c@0").edges
        assert (first.out_version, first.in_version, first.run, first.step) == ("c@0", "b@0", "run-1", "step")
        assert [node.distance for node in lineage.upstream("c", "c@0").nodes] == [0, 1, 2]

    def test_starts_at_the_latest_version(self, lineage: Lineage) -> None:
        lineage.record([edge("b@9", "a@3"), edge("b@10", "a@4")])
        lineage.record([edge("b@2", "a@1")])  # repaired later
        assert lineage.latest("b") == "b@10"
        assert versions(lineage.upstream("b")) == ["b@10", "a@4"]
        assert lineage.latest("a") == "a@4"
        assert lineage.latest("nothing") is None

    def test_a_table_made_anew_is_the_latest(self, lineage: Lineage) -> None:
        lineage.record([edge("b@9", "a@3")])
        lineage.record([replace(edge("b@9", "a@3"), out_version="again@0")])
        assert lineage.latest("b") == "again@0"

    def test_sees_what_other_processes_record(self, any_database: Database) -> None:
        update, theirs = Lineage(any_database), Lineage(any_database)
        update.record([edge("b@0", "a@0")])
        assert len(theirs.upstream("b").nodes) == 2
        update.record([edge("a@0", "z@0")])
        assert versions(theirs.upstream("b")) == ["b@0", "a@0", "z@0"]

    def test_is_limited_in_depth_and_nodes_and_says_so(self, lineage: Lineage) -> None:
        lineage.record([edge(f"n{i}@0", f"n{i + 1}@0") for i in range(10)])
        assert not lineage.upstream("n0").truncated
        shallow = lineage.upstream("n0", depth=3)
        assert (len(shallow.nodes), shallow.truncated) == (4, True)
        small = lineage.upstream("n0", max_nodes=5)
        assert (len(small.nodes), small.truncated) == (5, True)
        exact = lineage.upstream("n0", depth=10, max_nodes=11)
        assert (len(exact.nodes), exact.truncated) == (11, False)

    def test_follows_a_limited_number_of_edges_and_tells_nothing_of_hidden_ones(self) -> None:
        index = LineageIndex()
        for number in range(1, 1001):
            index.add(number, f"out{number}", f"o{number}@0", "hub", "h@0", "r", "s")
        found = walk(index, "downstream", "hub", "h@0", depth=3, max_nodes=2, visible=None)
        assert (len(found.nodes), len(found.edges), found.truncated) == (2, 1, True)
        visible = {"hub", "out1"}.__contains__
        hidden = walk(index, "downstream", "hub", "h@0", depth=3, max_nodes=2, visible=visible)
        assert (len(hidden.nodes), hidden.truncated) == (2, False)

    def test_survives_cycles(self, lineage: Lineage) -> None:
        lineage.record([edge("a@0", "b@0"), edge("b@0", "a@0"), edge("a@0", "a@0")])
        assert set(versions(lineage.upstream("a"))) == {"a@0", "b@0"}
        assert set(versions(lineage.downstream("a"))) == {"a@0", "b@0"}

    def test_an_asset_can_come_from_its_own_earlier_version(self, lineage: Lineage) -> None:
        lineage.record([edge("a@1", "a@0"), edge("a@1", "s@5"), edge("a@0", "s@4")])
        assert set(versions(lineage.upstream("a", "a@1"))) == {"a@1", "a@0", "s@5", "s@4"}
        assert set(versions(lineage.upstream("a", "a@0"))) == {"a@0", "s@4"}

    def test_a_version_nobody_recorded_continues_the_one_before(self, lineage: Lineage) -> None:
        """Compaction makes versions without edges; what is behind them is behind the version before."""
        lineage.record([edge("b@4", "a@0"), edge("c@0", "b@6")])
        graph = lineage.upstream("c")
        assert versions(graph) == ["c@0", "b@6", "b@4", "a@0"]
        assert [link.implied for link in graph.edges] == [False, True, False]
        assert versions(lineage.upstream("b", "b@9")) == ["b@9", "b@6", "b@4", "a@0"]
        assert versions(lineage.downstream("b", "b@4")) == ["b@4", "b@6", "c@0"]
        assert versions(lineage.downstream("b", "b@5")) == ["b@5", "b@6", "c@0"]

    def test_versions_of_a_table_that_others_write_are_not_connected(self, lineage: Lineage) -> None:
        lineage.record([edge("b@0", "a@3"), edge("c@0", "a@4")])
        assert versions(lineage.upstream("c")) == ["c@0", "a@4"]
        assert versions(lineage.downstream("a", "a@3")) == ["a@3", "b@0"]

    def test_a_recorded_version_does_not_continue_the_one_before(self, lineage: Lineage) -> None:
        lineage.record([edge("b@4", "a@0"), edge("b@5", "a@1")])
        assert versions(lineage.upstream("b", "b@5")) == ["b@5", "a@1"]
        assert versions(lineage.downstream("b", "b@4")) == ["b@4"]

    def test_an_output_without_inputs_is_a_root(self, lineage: Lineage) -> None:
        root = replace(EDGE, out_asset="a", out_version="a@1", in_asset="", in_version="", in_columns=())
        lineage.record([edge("a@0", "s@0"), root])
        assert versions(lineage.upstream("a")) == ["a@1"]
        assert lineage.provenance("a", "a@1") == [root]

    def test_versions_of_another_form_are_walked_too(self, lineage: Lineage) -> None:
        lineage.record([replace(edge("answer", "index@3"), out_version="evt_17"), edge("index@3", "docs@1")])
        assert versions(lineage.upstream("answer", "evt_17")) == ["evt_17", "index@3", "docs@1"]

    def test_leaves_out_what_may_not_be_seen(self, lineage: Lineage) -> None:
        lineage.record([edge("c@0", "b@0"), edge("b@0", "a@0"), edge("c@0", "d@0")])
        graph = lineage.upstream("c", visible=lambda asset: asset != "b")
        assert versions(graph) == ["c@0", "d@0"]
        assert [link.in_asset for link in graph.edges] == ["d"]
        assert lineage.upstream("b", visible=lambda asset: asset != "b").nodes == ()


class TestTombstone:
    def test_of_a_version_cuts_the_walk(self, any_database: Database) -> None:
        lineage = Lineage(any_database)
        lineage.record([edge("c@0", "b@0"), edge("b@0", "a@0"), edge("c@1", "b@1"), edge("b@1", "a@0")])
        lineage.tombstone("b", "b@0", principal="ada", reason="erasure")
        graph = lineage.upstream("c", "c@0")
        assert [(node.version, node.tombstoned) for node in graph.nodes] == [("c@0", False), ("b@0", True)]
        assert versions(lineage.upstream("c", "c@1")) == ["c@1", "b@1", "a@0"]
        assert set(versions(lineage.downstream("a", "a@0"))) == {"a@0", "b@0", "b@1", "c@1"}

    def test_of_an_asset_spares_what_is_recorded_later(self, lineage: Lineage) -> None:
        lineage.record([edge("b@0", "a@0")])
        lineage.tombstone("b")
        assert [node.tombstoned for node in lineage.upstream("b", "b@0").nodes] == [True]
        lineage.record([replace(edge("b@0", "a@0"), out_version="again@0")])
        assert versions(lineage.upstream("b", "again@0")) == ["again@0", "a@0"]

    def test_leaves_the_edges_on_record(self, lineage: Lineage) -> None:
        lineage.record([edge("b@0", "a@0")])
        lineage.tombstone("b")
        assert len(lineage.provenance("b", "b@0")) == 1


class TestLateTransactions:
    def test_edges_that_turn_up_late_are_taken_in(self, any_database: Database) -> None:
        """On PostgreSQL a transaction may commit after another one with greater sequence numbers."""
        lineage = Lineage(any_database)
        lineage.record([edge("b@0", "a@0")])
        row = {column.name: getattr(EDGE, column.name) for column in LINEAGE_EDGE.c if column.name != "sequence"}
        row |= {"in_columns": [], "out_asset": "c", "out_version": "c@0", "in_asset": "b", "in_version": "b@0"}
        with any_database.write() as connection:
            connection.execute(LINEAGE_EDGE.insert().values(row | {"sequence": 9}))
        assert versions(lineage.downstream("a", "a@0")) == ["a@0", "b@0", "c@0"]
        with any_database.write() as connection:
            late = {"sequence": 5, "out_asset": "d", "out_version": "d@0", "in_asset": "c", "in_version": "c@0"}
            connection.execute(LINEAGE_EDGE.insert().values(row | late))
        assert versions(lineage.downstream("a", "a@0")) == ["a@0", "b@0", "c@0", "d@0"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agrees_with_a_plain_search(seed: int) -> None:
    """Against a set-based search on random graphs, implied edges left out by giving each asset one version."""
    chance = random.Random(seed)
    pairs = [(chance.randrange(60), chance.randrange(60)) for _ in range(120)]
    index = LineageIndex()
    for number, (out, source) in enumerate(pairs, 1):
        index.add(number, f"n{out}", f"n{out}@0", f"n{source}", f"n{source}@0", "r", "s")
    for start in range(60):
        reached, frontier = {start}, {start}
        while frontier:
            frontier = {source for out, source in pairs if out in frontier} - reached
            reached |= frontier
        graph = walk(index, "upstream", f"n{start}", f"n{start}@0", depth=99, max_nodes=999, visible=None)
        assert {node.asset for node in graph.nodes} == {f"n{number}" for number in reached}
        links = {(link.out_asset, link.in_asset) for link in graph.edges}
        assert links == {(f"n{out}", f"n{source}") for out, source in pairs if out in reached}


def test_twenty_thousand_edges_are_no_burden(database: Database) -> None:
    lineage = Lineage(database)
    edges = [edge(f"a{i % 1000}@{i // 1000 + 1}", f"a{(i * 7 + 1) % 1000}@{i // 1000}") for i in range(20_000)]
    with database.write() as connection:
        for start in range(0, len(edges), 5000):
            Lineage.record_in(connection, edges[start : start + 5000])
    graph = lineage.upstream("a5", "a5@15", depth=10)
    assert len(graph.nodes) == 11
    lineage.record([edge("new@0", "a5@15")])
    assert len(lineage.upstream("new", depth=10).nodes) == 11
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(LINEAGE_EDGE)).scalar_one() == 20_001
