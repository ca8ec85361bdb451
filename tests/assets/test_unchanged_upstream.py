"""A version that equals the former one makes nothing stale, from the files to features, model, index, and rounds.

The kind: a run that changed nothing passes for a change, and a model is trained again for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from assets.components import component
from core.ids import asset_id, asset_key
from lakehouse.tables import Tables
from resources.flower import Flower
from resources.vectors import Vectors
from tests import slices
from tests.assets.test_automation import TABLE, land
from tests.sample import attributes

pytestmark = pytest.mark.slow

SILVER = "flights.silver.flights"
FEATURES, MODEL = "flights.features.departures", "flights.models.arrival_delay"
INDEX, ROUNDS = "flights.index.airlines", "flights.rounds.arrival_delay"
PRODUCTS = (FEATURES, MODEL, INDEX, ROUNDS)

SPLIT = {"train": "month <= 7", "tune": "month = 7", "test": "month >= 10"}
QUICK: dict[str, dict[str, Any]] = {
    "features": {},
    "models": SPLIT | {"requirements": {}, "parameters": {"max_iter": 5, "max_leaf_nodes": 4}},
    "rounds": {
        "train_where": SPLIT["train"],
        "holdout_where": SPLIT["test"],
        "rounds": 2,
        "baseline_auc": None,
        "compare_alone": False,
    },
}
"""The sample's own definitions, on the few days of the slice and with less to compute."""

AIRLINES = {
    "asset": INDEX,
    "description": "Airlines by name.",
    "automation": "eager",
    "sources": [
        {
            "kind": "table",
            "asset": "flights.silver.airlines",
            "key": ["carrier"],
            "title": "{carrier}",
            "text": "{carrier} is {name}.",
        }
    ],
}


def definitions() -> dg.Definitions:
    """The tables of the slice, and what the sample makes of them."""
    names = {
        "features": "FeatureViewComponent",
        "models": "ModelTrainingComponent",
        "rounds": "FederatedTrainingComponent",
    }
    made = [
        dg.build_defs_for_component(component(name, attributes(folder) | QUICK[folder] | {"automation": "eager"}))
        for folder, name in names.items()
    ]
    made.append(dg.build_defs_for_component(component("RagIndexComponent", AIRLINES)))
    extra = dg.Definitions(resources={"flower": Flower(), "vectors": Vectors()})
    return dg.Definitions.merge(slices.tables(), *made, extra)


class Graph:
    """The assets with their automation, evaluated tick by tick as the daemon does."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.definitions, self.cursor = instance, definitions(), None

    def make(self, *assets: str) -> None:
        selection = dg.AssetSelection.assets(*(dg.AssetKey(asset_key(asset)) for asset in assets))
        assert slices.run(self.definitions, self.instance, selection if assets else None).success

    def requested(self) -> set[str]:
        everything = dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks()
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, asset_selection=everything, cursor=self.cursor
        )
        self.cursor = result.cursor  # type: ignore[assignment]
        return {asset for asset in self.assets if result.get_num_requested(dg.AssetKey(asset_key(asset)))}

    @property
    def assets(self) -> list[str]:
        keys = self.definitions.resolve_asset_graph().materializable_asset_keys
        return sorted(asset_id(key.path) for key in keys)

    def stale(self) -> set[str]:
        """Assets that Dagster itself calls stale."""
        graph = self.definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        return {
            asset
            for asset in self.assets
            if resolver.get_status(dg.AssetKey(asset_key(asset))) is not StaleStatus.FRESH
        }


@pytest.fixture
def tables(home: Path) -> Tables:
    return slices.open_tables()


@pytest.fixture
def graph(tables: Tables) -> Iterator[Graph]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(instance)


def test_an_upstream_that_is_made_anew_moves_no_product(graph: Graph, tables: Tables) -> None:
    graph.make()
    assert (graph.requested(), graph.stale()) == (set(), set())
    before = {asset: tables.snapshot(asset).data_version for asset in graph.assets}
    upstream = [asset for asset in graph.assets if asset not in PRODUCTS]
    for made in (upstream, [SILVER], [FEATURES], [*upstream, FEATURES], list(PRODUCTS)):
        graph.make(*made)
        assert graph.requested() == set(), made
        assert graph.stale() == set(), made
    assert {asset: tables.snapshot(asset).data_version for asset in graph.assets} == before


def test_an_upstream_that_did_change_moves_each_of_them(graph: Graph, tables: Tables) -> None:
    """The other half: the test above could not fail otherwise."""
    graph.make()
    graph.requested()
    land(4242)
    graph.make(TABLE, f"{TABLE}_quarantine", SILVER)
    assert {FEATURES, MODEL, ROUNDS} <= graph.requested()
    graph.make(FEATURES)
    assert {MODEL, ROUNDS} <= graph.stale()
