"""The examples of the how-to page are run as they stand there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from assets.rounds.component import FederatedTrainingComponent
from federated import rounds
from federated.clients import table_sources
from federated.history import to_row
from federated.model import probabilities
from federated.spec import STRATEGIES

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "federate-a-model.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def declared() -> FederatedTrainingComponent:
    document = yaml.safe_load(blocks("yaml")[0])
    assert document["type"] == f"{FederatedTrainingComponent.__module__}.{FederatedTrainingComponent.__name__}"
    return FederatedTrainingComponent(**document["attributes"])


class Departures:
    """Made-up departures with the columns that the page names."""

    table = "flights.features.departures"

    def __init__(self, features: list[str]) -> None:
        rng = np.random.default_rng(0)
        count = 900
        columns: dict[str, Any] = {name: rng.normal(size=count) for name in features}
        late = rng.random(count) < 1 / (1 + np.exp(-2 * columns[features[0]]))
        self.frame = pl.DataFrame(
            {
                "origin": rng.choice(["EWR", "JFK", "LGA"], size=count),
                "month": rng.integers(1, 13, size=count),
                "late": late,
                **columns,
            }
        )
        self.schema = self.frame.to_arrow().schema

    def scan(self) -> pl.LazyFrame:
        return self.frame.lazy()


def test_the_declaration_trains_and_its_weights_predict_as_the_page_says() -> None:
    component = declared()
    federation = component.federation()
    departures = Departures(component.features)
    remaining = []
    rounds.run(federation, table_sources({component.table: departures}, federation), on_round=remaining.append)  # type: ignore[dict-item]
    stored = pl.concat(pl.DataFrame(to_row(done, federation, "t1", "v", datetime.now(UTC))) for done in remaining)
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)
    found = names["late_probability"](stored.sample(fraction=1, shuffle=True, seed=0), departures.frame)
    x = departures.frame.select(component.features).to_numpy()
    np.testing.assert_array_equal(found, probabilities(remaining[-1].weights, remaining[-1].scaling.apply(x)))
    assert roc_auc_score(departures.frame["late"], found) > 0.75


def test_the_run_configuration_names_the_step() -> None:
    (config,) = [yaml.safe_load(block) for block in blocks("yaml") if block.startswith("ops:")]
    assert config == {"ops": {declared().op_name: {"config": {"restart": True}}}}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_page_lists_every_strategy_and_its_options(strategy: str) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{strategy}`" in line]
    assert [option for option in STRATEGIES[strategy].options if f"`{option}`" not in line] == []
