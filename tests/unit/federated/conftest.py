"""Fixtures: images of digits, spread over ten clients evenly and unevenly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from federated.model import Examples
from federated.spec import Client, Federation


@dataclass
class Held:
    """A source over rows in memory. The first two thirds are for training, the rest is the holdout."""

    x: np.ndarray
    y: np.ndarray

    def train(self) -> Examples:
        cut = len(self.y) * 2 // 3
        return Examples(self.x[:cut], self.y[:cut])

    def holdout(self) -> Examples:
        cut = len(self.y) * 2 // 3
        return Examples(self.x[cut:], self.y[cut:])


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the pixels `[1797, 64]`, whether the digit is at least 5, and the digit."""
    data = load_digits()
    order = np.random.default_rng(7).permutation(len(data.target))
    x, digit = data.data[order], data.target[order]
    return x, (digit >= 5).astype(np.float64), digit


@pytest.fixture
def even(digits: tuple[np.ndarray, ...]) -> list[Held]:
    x, y, _ = digits
    return [Held(x[part], y[part]) for part in np.array_split(np.arange(len(y)), 10)]


@pytest.fixture
def lopsided(digits: tuple[np.ndarray, ...]) -> list[Held]:
    """Distributes the digits by Dirichlet(0.1), so that most clients have few of the ten digits."""
    x, y, digit = digits
    rng = np.random.default_rng(3)
    shares = rng.dirichlet([0.1] * 10, size=10)  # [digit, client]
    owner = np.array([rng.choice(10, p=shares[d]) for d in digit])
    sources = [Held(x[owner == client], y[owner == client]) for client in range(10)]
    return [source for source in sources if len(source.y) >= 30]


@pytest.fixture
def federation() -> Callable[..., Federation]:
    def make(sources: Sequence[Any], **overrides: Any) -> Federation:
        values: dict[str, Any] = {
            "clients": tuple(Client(f"c{n}", "lab.silver.digits", f"site = {n}") for n in range(len(sources))),
            "features": tuple(f"p{n}" for n in range(64)),
            "target": "high",
            "rounds": 4,
            "local_epochs": 2,
            "learning_rate": 0.3,
            "batch_size": 16,
            "min_examples": 5,
            "seed": 11,
        }
        return Federation(**(values | overrides))

    return make
