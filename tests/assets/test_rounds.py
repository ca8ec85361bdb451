from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from assets.rounds.component import FederatedTrainingComponent
from core.db import Database
from core.errors import QuorumLost, UnknownColumn
from core.settings import load_settings
from federated.history import from_row
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.delta import Delta
from resources.flower import Flower
from tests.databases import with_tables

FEATURES = "lab.features.visits"
ROUNDS = "lab.rounds.relapse"
REPOSITORY = Path(__file__).parents[2]


def rows(seed: int = 0, count: int = 900) -> pl.DataFrame:
    """Visits at three sites that differ in how often a relapse follows."""
    rng = np.random.default_rng(seed)
    site = rng.choice(["north", "south", "west"], size=count, p=[0.5, 0.3, 0.2])
    x = rng.normal(size=(count, 4)) * [1, 10, 100, 1] + [0, 50, 1000, 0]
    lean = {"north": -0.5, "south": 0.5, "west": 0.0}
    logit = x[:, 0] + (x[:, 1] - 50) / 10 - (x[:, 2] - 1000) / 200 + np.array([lean[name] for name in site])
    relapse = rng.random(count) < 1 / (1 + np.exp(-logit))
    unknown = rng.random(count) < 0.05
    return pl.DataFrame(
        {
            "visit": [f"v{n}" for n in range(count)],
            "site": site,
            "month": rng.integers(1, 13, size=count).astype(np.int8),
            **{f"x{n}": x[:, n] for n in range(4)},
            "relapse": [None if hidden else bool(value) for value, hidden in zip(relapse, unknown, strict=True)],
        }
    ).with_columns(pl.when(pl.int_range(count) % 7 == 0).then(None).otherwise(pl.col("x3")).alias("x3"))


@pytest.fixture
def tables(home: Path) -> Tables:
    settings = load_settings()
    database = with_tables(settings.effective_database_url)
    tables = Tables.from_settings(settings, database)
    tables.overwrite(FEATURES, rows())
    return tables


def component(**overrides: Any) -> FederatedTrainingComponent:
    attributes: dict[str, Any] = {
        "asset": ROUNDS,
        "description": "Rounds of a model of relapses.",
        "table": FEATURES,
        "clients": {name: f"site = '{name}'" for name in ("north", "south", "west")},
        "features": ["x0", "x1", "x2", "x3"],
        "target": "relapse",
        "train_where": "month <= 9",
        "holdout_where": "month >= 10",
        "strategy": "fedadam",
        "rounds": 4,
        "local_epochs": 2,
        "batch_size": 32,
        "baseline_auc": 0.6,
        "compare_alone": False,
    }
    return FederatedTrainingComponent(**(attributes | overrides))


@pytest.fixture
def instance() -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def run(tables: Tables, instance: dg.DagsterInstance) -> Run:
    def materialize(
        declared: FederatedTrainingComponent, *, restart: bool = False, raise_on_error: bool = True
    ) -> dg.ExecuteInProcessResult:
        definitions = declared.build_defs(None)  # type: ignore[arg-type]
        return dg.materialize(
            [*(definitions.assets or []), *(definitions.asset_checks or [])],  # type: ignore[list-item]
            resources={"delta": Delta(), "flower": Flower()},
            instance=instance,
            run_config={"ops": {declared.op_name: {"config": {"restart": restart}}}},
            raise_on_error=raise_on_error,
        )

    return materialize


def materializations(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    found = result.filter_events(lambda event: event.is_step_materialization)
    return [event.step_materialization_data.materialization for event in found]


def value(materialization: dg.AssetMaterialization, name: str) -> Any:
    return materialization.metadata[name].value


def stored(tables: Tables, asset: str = ROUNDS) -> pl.DataFrame:
    return tables.snapshot(asset).scan().sort("training", "round").collect()


def weights(tables: Tables, asset: str = ROUNDS) -> bytes:
    last = stored(tables, asset).row(-1, named=True)
    return b"".join(array.tobytes() for _, array in sorted(from_row(last).weights.items()))


class TestEveryRound:
    def test_is_a_commit_and_a_materialization_with_the_metrics_of_each_client(self, run: Run, tables: Tables) -> None:
        result = run(component())
        events = materializations(result)
        assert [value(event, "round") for event in events] == [1, 2, 3, 4]
        assert [value(event, "delta/version") for event in events] == [0, 1, 2, 3]
        table_id = tables.snapshot(ROUNDS).table_id
        assert [event.tags["dagster/data_version"] for event in events] == [f"{table_id}@{n}" for n in range(4)]  # type: ignore[index]
        assert len({event.tags["dagster/code_version"] for event in events}) == 1  # type: ignore[index]
        frame = stored(tables)
        assert frame["round"].to_list() == [1, 2, 3, 4]
        assert frame["training"].n_unique() == 1
        for event, row in zip(events, frame.iter_rows(named=True), strict=True):
            assert value(event, "auc") == row["auc"]
            for client in json.loads(row["client_metrics"]):
                assert value(event, f"{client['client']}/auc") == client["auc"]
                assert value(event, f"{client['client']}/examples") == client["examples"]
        assert value(events[-1], "auc") > 0.7

    def test_counts_exactly_the_rows_of_its_clients(self, run: Run, tables: Tables) -> None:
        run(component(rounds=1))
        known = rows().filter(pl.col("relapse").is_not_null())
        (row,) = stored(tables).iter_rows(named=True)
        for client in json.loads(row["client_metrics"]):
            owned = known.filter(pl.col("site") == client["client"])
            assert client["examples"] == owned.filter(pl.col("month") <= 9).height
            assert client["holdout_examples"] == owned.filter(pl.col("month") >= 10).height

    def test_has_the_exact_input_version_in_its_lineage(self, run: Run, tables: Tables) -> None:
        tables.append(FEATURES, rows(seed=1, count=50))
        inputs = tables.snapshot(FEATURES)
        result = run(component())
        lineage = Lineage(Database(load_settings().effective_database_url))
        table_id = tables.snapshot(ROUNDS).table_id
        for version in range(4):
            edges = lineage.provenance(ROUNDS, f"{table_id}@{version}")
            found = {(edge.in_asset, edge.in_version) for edge in edges}
            before = {(ROUNDS, f"{table_id}@{version - 1}")} if version else set()
            assert found == {(FEATURES, inputs.data_version)} | before
            (edge,) = [edge for edge in edges if edge.in_asset == FEATURES]
            assert set(edge.in_columns) == {"x0", "x1", "x2", "x3", "relapse", "site", "month"}
            assert (edge.run, edge.engine) == (result.run_id, "flower")

    def test_is_drawn_in_the_plot_of_the_last(self, run: Run) -> None:
        events = materializations(run(component()))
        assert [("convergence" in event.metadata) for event in events] == [False, False, False, True]
        text = value(events[-1], "convergence")
        image = base64.b64decode(text.split("base64,")[1].rstrip(")"))
        assert image.startswith(b"\x89PNG")
        assert len(image) > 5000


class TestContinuing:
    def test_a_longer_declaration_continues_and_ends_as_an_unbroken_one(self, run: Run, tables: Tables) -> None:
        run(component(rounds=2))
        events = materializations(run(component(rounds=5)))
        assert [value(event, "round") for event in events] == [3, 4, 5]
        run(component(asset="lab.rounds.unbroken", rounds=5))
        assert weights(tables) == weights(tables, "lab.rounds.unbroken")

    def test_a_failed_run_continues_after_its_last_round(
        self, run: Run, tables: Tables, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        append = Tables.append

        def full(self: Tables, table: str, data: Any, **options: Any) -> Any:
            if table == ROUNDS and data["round"][0].as_py() == 3:
                raise OSError("no space left on device")
            return append(self, table, data, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Tables, "append", full)
            assert not run(component(), raise_on_error=False).success
        assert stored(tables)["round"].to_list() == [1, 2]
        events = materializations(run(component()))
        assert [value(event, "round") for event in events] == [3, 4]
        run(component(asset="lab.rounds.unbroken"))
        assert weights(tables) == weights(tables, "lab.rounds.unbroken")

    def test_a_round_whose_event_was_lost_is_reported_afterwards(
        self, run: Run, tables: Tables, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report = dg.AssetExecutionContext.log_event

        def lost(self: Any, event: Any) -> None:
            if value(event, "round") == 2:
                raise ConnectionError
            report(self, event)

        with monkeypatch.context() as patch:
            patch.setattr(dg.AssetExecutionContext, "log_event", lost)
            assert not run(component(), raise_on_error=False).success
        assert stored(tables)["round"].to_list() == [1, 2]
        events = materializations(run(component()))
        assert [value(event, "round") for event in events] == [2, 3, 4]
        assert [value(event, "delta/version") for event in events] == [1, 2, 3]
        assert stored(tables)["round"].to_list() == [1, 2, 3, 4]

    def test_a_complete_training_is_reported_again_without_a_commit(self, run: Run, tables: Tables) -> None:
        first = materializations(run(component()))[-1]
        (again,) = materializations(run(component()))
        assert value(again, "round") == 4
        assert again.tags["dagster/data_version"] == first.tags["dagster/data_version"]  # type: ignore[index]
        assert tables.snapshot(ROUNDS).version == 3

    def test_restart_begins_anew(self, run: Run, tables: Tables) -> None:
        run(component())
        events = materializations(run(component(), restart=True))
        assert [value(event, "round") for event in events] == [1, 2, 3, 4]
        frame = stored(tables)
        assert frame["training"].n_unique() == 2
        assert frame["round"].to_list() == [1, 2, 3, 4] * 2
        assert len(frame["arrays"].unique()) == 4  # same seed, same data: the same weights

    @pytest.mark.parametrize(
        "change", [{"learning_rate": 0.3}, {"clients": {"north": "site = 'north'", "south": "site = 'south'"}}]
    )
    def test_another_declaration_begins_anew(self, change: dict[str, Any], run: Run) -> None:
        run(component(rounds=2))
        events = materializations(run(component(rounds=2, **change)))
        assert [value(event, "round") for event in events] == [1, 2]

    def test_other_data_begin_anew(self, run: Run, tables: Tables) -> None:
        run(component(rounds=2))
        tables.append(FEATURES, rows(seed=5, count=20))
        events = materializations(run(component(rounds=2)))
        assert [value(event, "round") for event in events] == [1, 2]
        assert value(events[0], "input_version") == tables.snapshot(FEATURES).data_version

    def test_the_data_are_read_at_one_version_throughout(self, run: Run, tables: Tables) -> None:
        """Rows that arrive while a training runs are not in it."""
        run(component(asset="lab.rounds.quiet"))
        calls: list[int] = []
        evaluate = Flower.train

        def disturbed(self: Flower, *args: Any, **options: Any) -> Any:
            if not calls:
                calls.append(tables.overwrite(FEATURES, rows(seed=9, count=100)).version)
            return evaluate(self, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Flower, "train", disturbed)
            run(component())
        assert calls
        assert weights(tables) == weights(tables, "lab.rounds.quiet")


class TestChecks:
    @staticmethod
    def outcome(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
        return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}

    def test_all_pass_on_a_sound_training(self, run: Run) -> None:
        result = run(component())
        outcome = self.outcome(result)
        assert [outcome[name] for name in ("rounds_complete", "clients_apart", "beats_baseline")] == [True] * 3
        assert result.success

    def test_the_gap_to_each_client_alone_is_reported(self, run: Run) -> None:
        result = run(component(compare_alone=True))
        last = materializations(result)[-1]
        (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "better_together"]
        for client in ("north", "south", "west"):
            alone, gap = (check.metadata[f"{client}/{figure}"].value for figure in ("auc_alone", "gap"))
            assert 0.5 < alone < 1
            assert gap == pytest.approx(value(last, "auc") - alone)
        gaps = [check.metadata[f"{client}/gap"].value for client in ("north", "south", "west")]
        assert check.passed == (min(gaps) > 0)
        assert check.severity == dg.AssetCheckSeverity.WARN

    def test_a_model_no_better_than_the_baseline_fails(self, run: Run) -> None:
        result = run(component(baseline_auc=0.999), raise_on_error=False)
        assert self.outcome(result)["beats_baseline"] is False

    def test_clients_that_share_rows_fail(self, run: Run) -> None:
        slices = {"north": "site = 'north'", "most": "site <> 'south'", "south": "site = 'south'"}
        result = run(component(clients=slices), raise_on_error=False)
        assert self.outcome(result)["clients_apart"] is False

    def test_rows_both_trained_on_and_judged_by_fail(self, run: Run) -> None:
        result = run(component(holdout_where="month >= 9"), raise_on_error=False)
        assert self.outcome(result)["clients_apart"] is False


class TestFaults:
    def test_a_client_without_rows_is_left_out_and_named(self, run: Run, tables: Tables) -> None:
        slices = {"north": "site = 'north'", "south": "site = 'south'", "east": "site = 'east'"}
        events = materializations(run(component(clients=slices)))
        assert value(events[-1], "clients_trained") == 2
        (east,) = [record.data for record in events[-1].metadata["clients"].records if record.data["client"] == "east"]
        assert east["failure"] == "TooFewExamples"

    def test_below_the_quorum_it_fails_and_keeps_nothing(self, run: Run, tables: Tables) -> None:
        slices = {"north": "site = 'north'", "east": "site = 'east'"}
        with pytest.raises(QuorumLost, match="1 of 2 clients replied, but 2 are required"):
            run(component(clients=slices))
        assert not tables.exists(ROUNDS)

    def test_an_unknown_column_is_named(self, run: Run) -> None:
        with pytest.raises(UnknownColumn, match="x9"):
            run(component(features=["x0", "x9"]))
        with pytest.raises(UnknownColumn, match="stie"):
            run(component(clients={"north": "stie = 'north'", "south": "site = 'south'"}))

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"strategy": "fedsgd"}, "fedavg, fedprox"),
            ({"min_clients": 4}, "min_clients is 4"),
            ({"clients": {}}, "clients"),
            ({"features": ["x0", "relapse"]}, "'relapse'"),
        ],
    )
    def test_a_declaration_that_makes_no_sense_is_refused(self, change: dict[str, Any], named: str) -> None:
        with pytest.raises(ValidationError, match=named):
            component(**change)


class TestDefinition:
    def test_the_code_version_follows_what_decides_the_result(self) -> None:
        assert component().code_version() == component(description="Other words.").code_version()
        assert component().code_version() != component(seed=5).code_version()

    def test_the_sample_names_features_that_its_table_has(self) -> None:
        def attributes(folder: str) -> dict[str, Any]:
            path = REPOSITORY / "dagster_project" / "defs" / folder / "defs.yaml"
            return dict(yaml.safe_load(path.read_text())["attributes"])

        declared = FederatedTrainingComponent(**attributes("rounds"))
        view = attributes("features")
        offered = {name for group in view["groups"] for name in group.get("features", {})}
        offered |= {group[key] for group in view["groups"] for key in ("count", "age_minutes") if key in group}
        assert declared.table == view["asset"]
        assert set(declared.features) <= offered
        assert {declared.target, "month", "origin"} <= set(view["entity"]["columns"])
        assert [client.name for client in declared.federation().clients] == ["EWR", "JFK", "LGA"]
