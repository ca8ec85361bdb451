"""Predictions: probabilities of the trained model, for given and looked-up inputs, with their versions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
import pytest

from core.db import Database
from core.errors import InvalidPayload, NotFound
from lakehouse.lineage import Lineage
from lakehouse.tables import Commit, Tables
from serving.predictor import MAX_INSTANCES, Predictor
from tests.unit.serving.clinic import FEATURES, MODEL, NAMES, artifact, estimator, matrix, visits

Train = Callable[..., Commit]


@pytest.fixture
def predictor(tables: Tables, train: Train) -> Predictor:
    train()
    return Predictor(tables)


class TestPredict:
    def test_looked_up_entities_get_the_trained_probabilities(self, predictor: Predictor) -> None:
        rows = visits()
        answer = predictor.predict(MODEL, [{"visit": visit} for visit in rows["visit"]])
        trained = estimator().predict_proba(matrix(rows))[:, 1]
        given = np.array([one.probability for one in answer.predictions])
        assert np.abs(given - trained).max() < 1e-5
        assert trained.min() < 0.1 < 0.9 < trained.max()
        assert [one.label for one in answer.predictions] == (given >= 0.4).tolist()

    def test_given_inputs_equal_looked_up_ones(self, predictor: Predictor) -> None:
        row = visits().row(5, named=True)
        looked_up, given = predictor.predict(MODEL, [{"visit": "v5"}, {name: row[name] for name in NAMES}]).predictions
        assert given.probability == looked_up.probability
        assert (given.key, looked_up.key) == (None, {"visit": "v5"})

    def test_given_inputs_replace_looked_up_ones(self, predictor: Predictor) -> None:
        as_is, what_if = predictor.predict(MODEL, [{"visit": "v5"}, {"visit": "v5", "age": 89}]).predictions
        row = visits().row(5, named=True)
        expected = estimator().predict_proba(np.array([[89, row["dose"], row["pulse"]]], dtype=np.float32))
        assert what_if.probability == pytest.approx(expected[0, 1], abs=1e-5)
        assert what_if.probability != as_is.probability

    def test_a_missing_input_is_reported_and_has_the_effect_learned_in_training(self, predictor: Predictor) -> None:
        (one,) = predictor.predict(MODEL, [{"age": 60, "dose": 2, "pulse": None}]).predictions
        expected = estimator().predict_proba(np.array([[60, 2, np.nan]], dtype=np.float32))[0, 1]
        assert one.missing == ["pulse"]
        assert one.probability == pytest.approx(expected, abs=1e-5)

    def test_the_median_replaces_an_input_without_missing_training_values(self, predictor: Predictor) -> None:
        without, median = predictor.predict(
            MODEL,
            [{"age": 60}, {"age": 60, "dose": float(visits()["dose"].median())}],  # type: ignore[arg-type]
        ).predictions
        assert without.missing == ["dose", "pulse"]
        assert without.probability == median.probability
        undefined = estimator().predict_proba(np.array([[60, np.nan, np.nan]], dtype=np.float32))[0, 1]
        assert without.probability != pytest.approx(undefined, abs=1e-3)

    def test_extrapolation_is_reported(self, predictor: Predictor) -> None:
        (one,) = predictor.predict(MODEL, [{"age": 140, "dose": 2, "pulse": 70}]).predictions
        assert (one.out_of_range, one.missing) == (["age"], [])

    def test_the_answer_contains_its_versions(self, predictor: Predictor, tables: Tables) -> None:
        answer = predictor.predict(MODEL, [{"visit": "v1"}])
        assert answer.model_data_version == tables.snapshot(MODEL).data_version
        assert answer.features_data_version == tables.snapshot(FEATURES).data_version
        assert predictor.predict(MODEL, [{"age": 3}]).features_data_version is None
        assert (answer.target, answer.threshold, answer.features_table) == ("relapse", 0.4, FEATURES)

    def test_versions_can_be_chosen(self, predictor: Predictor, tables: Tables, train: Train) -> None:
        old_model, old_features = tables.snapshot(MODEL).version, tables.snapshot(FEATURES).version
        before = predictor.predict(MODEL, [{"visit": "v1"}])
        train()
        tables.overwrite(FEATURES, visits().with_columns(age=pl.lit(25.0, dtype=pl.Float32)))
        assert predictor.predict(MODEL, [{"visit": "v1"}]).predictions != before.predictions
        again = predictor.predict(MODEL, [{"visit": "v1"}], version=old_model, features_version=old_features)
        assert again == before

    def test_an_answer_has_provenance(self, predictor: Predictor, database: Database) -> None:
        lineage = Lineage(database)
        (edge,) = predictor.provenance(lineage, predictor.predict(MODEL, [{"visit": "v1"}]))
        assert (edge.in_asset, edge.run, edge.principal) == (FEATURES, "run-0", "tester")

    def test_concurrent_predictions(self, predictor: Predictor) -> None:
        def ask(number: int) -> float:
            return predictor.predict(MODEL, [{"visit": f"v{number}"}]).predictions[0].probability

        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(ask, range(200)))
        assert together == [ask(number) for number in range(200)]


class TestExplanation:
    def test_the_strongest_contribution_is_first(self, predictor: Predictor) -> None:
        answer = predictor.predict(MODEL, [{"age": 85, "dose": 2.5, "pulse": 70}], explain=True)
        assert answer.explanation is not None
        assert answer.explanation["method"] == "occlusion"
        contributions = answer.predictions[0].contributions
        assert contributions is not None
        assert contributions[0].feature == "age"
        assert contributions[0].contribution > 1
        assert contributions[0].value == 85

    def test_a_contribution_is_the_effect_of_the_median(self, predictor: Predictor) -> None:
        given = {"age": 85, "dose": 1.0, "pulse": 70}
        (one,) = predictor.predict(MODEL, [given], explain=True).predictions
        assert one.contributions is not None
        dose = next(each for each in one.contributions if each.feature == "dose")
        (without,) = predictor.predict(MODEL, [given | {"dose": dose.median}]).predictions
        expected = np.log(one.probability / (1 - one.probability)) - np.log(
            without.probability / (1 - without.probability)
        )
        assert dose.contribution == pytest.approx(expected, abs=1e-4)
        assert dose.contribution > 0.5  # a low dose raises the probability of a relapse

    def test_median_inputs_contribute_nothing(self, predictor: Predictor) -> None:
        medians = {name: float(visits()[name].median()) for name in NAMES}  # type: ignore[arg-type]
        (one,) = predictor.predict(MODEL, [medians], explain=True).predictions
        assert one.contributions is not None
        assert [each.contribution for each in one.contributions] == [0, 0, 0]

    def test_contributions_are_computed_only_on_request(self, predictor: Predictor) -> None:
        answer = predictor.predict(MODEL, [{"age": 30}])
        assert (answer.explanation, answer.predictions[0].contributions) == (None, None)


class TestFaults:
    def test_every_error_has_a_pointer(self, predictor: Predictor) -> None:
        with pytest.raises(InvalidPayload) as caught:
            predictor.predict(MODEL, [{"visit": "v1"}, {"age": "old", "weight": 3}, {}])
        assert [fault["pointer"] for fault in caught.value.errors] == [
            "/instances/1/age",
            "/instances/1/weight",
            "/instances/2",
        ]
        assert "age, dose, pulse" in caught.value.detail

    def test_the_error_names_an_unknown_entity(self, predictor: Predictor) -> None:
        with pytest.raises(NotFound, match="visit 'v9999'") as caught:
            predictor.predict(MODEL, [{"visit": "v1"}, {"visit": "v9999"}])
        assert caught.value.errors == [{"pointer": "/instances/1", "detail": "is not in the feature table"}]

    @pytest.mark.parametrize("instances", [[], [{"age": 1}] * (MAX_INSTANCES + 1)], ids=["none", "too many"])
    def test_the_size_of_a_batch_is_bounded(self, predictor: Predictor, instances: list[Any]) -> None:
        with pytest.raises(InvalidPayload, match="Send between 1 and"):
            predictor.predict(MODEL, instances)


class TestFreshness:
    def test_new_features_are_looked_up_without_a_new_model(self, predictor: Predictor, tables: Tables) -> None:
        before = predictor.predict(MODEL, [{"visit": "v1"}])
        tables.overwrite(FEATURES, visits().with_columns(age=pl.lit(25.0, dtype=pl.Float32)))
        after = predictor.predict(MODEL, [{"visit": "v1"}])
        row = visits().row(1, named=True)
        (given,) = predictor.predict(MODEL, [{"age": 25, "dose": row["dose"], "pulse": row["pulse"]}]).predictions
        assert after.features_data_version == tables.snapshot(FEATURES).data_version != before.features_data_version
        assert after.predictions[0].probability == given.probability
        old = predictor.predict(MODEL, [{"visit": "v1"}], features_version=0)
        assert (old.predictions, old.features_data_version) == (before.predictions, before.features_data_version)

    def test_the_ends_of_the_range_of_training_are_within_it(self, predictor: Predictor) -> None:
        ages = visits()["age"]
        low, high = float(ages.min()), float(ages.max())  # type: ignore[arg-type]
        inputs = [low, high, low - 1, high + 1, (low + high) / 2, None]
        answers = predictor.predict(MODEL, [{"age": age, "dose": 2, "pulse": 70} for age in inputs]).predictions
        assert [answer.out_of_range for answer in answers] == [[], [], ["age"], ["age"], [], []]

    def test_the_threshold_itself_is_a_yes(self, predictor: Predictor, train: Train) -> None:
        probability = predictor.predict(MODEL, [{"visit": "v1"}]).predictions[0].probability
        for threshold, label in ((probability, True), (probability + 1e-9, False), (probability - 1e-9, True)):
            train(threshold=threshold, artifact=artifact(30))
            (one,) = predictor.predict(MODEL, [{"visit": "v1"}]).predictions
            assert (one.probability, one.label) == (probability, label)
