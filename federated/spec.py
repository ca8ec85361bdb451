"""The declaration of a federation: clients, features, strategy and schedule. Plain data, fast to import."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.errors import InvalidArgument

MODEL = "logistic/1"
"""Name and version of the local model. It's part of every digest, so change it when the arithmetic changes."""


@dataclass(frozen=True, slots=True)
class Option:
    """Which numbers an option of a strategy may be: `low` itself is one unless `above`; `high` is none."""

    low: float = 0.0
    high: float = math.inf
    above: bool = False
    counts: bool = False
    """Whether it counts clients: a whole number, and no more than there are."""

    def fault(self, value: float, clients: int) -> str | None:
        """What is wrong with a value; `None` if nothing is."""
        high = min(self.high, clients + 1) if self.counts else self.high
        if self.counts and value != int(value):
            return "must be a whole number"
        if value < self.low or (self.above and value == self.low) or value >= high:
            least = f"{'above' if self.above else 'at least'} {self.low:g}"
            return f"must be {least}" + (f" and below {high:g}" if high < math.inf else "")
        return None


_POSITIVE = Option(above=True)
_SHARE = Option(high=1.0)


@dataclass(frozen=True, slots=True)
class StrategyKind:
    """A Flower strategy that a federation can select."""

    flower_class: str
    options: Mapping[str, Option] = field(default_factory=dict)
    state: tuple[str, ...] = ()
    """Attributes with the optimizer state of the server, which must be restored between rounds."""


_ADAPTIVE = {"eta": _POSITIVE, "tau": _POSITIVE}
_ADAM = {"eta": _POSITIVE, "beta_1": _SHARE, "beta_2": _SHARE, "tau": _POSITIVE}
_MALICIOUS = Option(counts=True)

STRATEGIES: Mapping[str, StrategyKind] = {
    "fedavg": StrategyKind("FedAvg"),
    "fedprox": StrategyKind("FedProx", {"proximal_mu": Option()}),
    "fedavgm": StrategyKind(
        "FedAvgM", {"server_learning_rate": _POSITIVE, "server_momentum": _SHARE}, ("momentum_vector",)
    ),
    "fedadagrad": StrategyKind("FedAdagrad", _ADAPTIVE, ("m_t", "v_t")),
    "fedadam": StrategyKind("FedAdam", _ADAM, ("m_t", "v_t")),
    "fedyogi": StrategyKind("FedYogi", _ADAM, ("m_t", "v_t")),
    "fedmedian": StrategyKind("FedMedian"),
    "fedtrimmedavg": StrategyKind("FedTrimmedAvg", {"beta": Option(high=0.5)}),
    "krum": StrategyKind("Krum", {"num_malicious_nodes": _MALICIOUS}),
    "multikrum": StrategyKind(
        "MultiKrum", {"num_malicious_nodes": _MALICIOUS, "num_nodes_to_select": Option(low=1, counts=True)}
    ),
}


@dataclass(frozen=True, slots=True)
class Client:
    """A client: the rows of `table` that match the SQL predicate `where`."""

    name: str
    table: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Federation:
    """A federated training of a logistic model.

    Raises:
        InvalidArgument: a value is invalid. The message names it and what is allowed.
    """

    clients: tuple[Client, ...]
    features: tuple[str, ...]
    target: str
    """Boolean column to predict. Rows where it's null aren't examples."""
    train_where: str = "true"
    holdout_where: str = "false"
    """Predicate of the rows that every client reserves for the evaluation of the global model."""
    strategy: str = "fedavg"
    strategy_options: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 3
    local_epochs: int = 1
    learning_rate: float = 0.1
    batch_size: int = 0
    """Examples per gradient step; 0: all examples of the client in one step."""
    l2: float = 0.0
    fraction: float = 1.0
    """Share of the clients that train in each round."""
    min_clients: int = 2
    """Smallest number of replies for a round to be valid."""
    min_examples: int = 20
    """Smallest number of training rows for a client to take part: aggregates over very few rows would disclose them."""
    seed: int = 0
    client_timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, fault in self._faults():
            raise InvalidArgument(fault, errors=[{"pointer": f"/{name}", "detail": fault}])

    def _faults(self) -> Iterator[tuple[str, str]]:
        """The attribute, and what is wrong with it."""
        names = [client.name for client in self.clients]
        rules = [
            ("clients", bool(names), "A federation needs at least one client."),
            ("clients", len(set(names)) == len(names), f"Client names must differ: {', '.join(names)}."),
            ("features", bool(self.features), "A federation needs at least one feature."),
            ("features", len(set(self.features)) == len(self.features), "Features must differ."),
            ("target", self.target not in self.features, f"The target {self.target!r} can't be a feature."),
            ("rounds", self.rounds >= 1, "rounds must be at least 1."),
            ("local_epochs", self.local_epochs >= 1, "local_epochs must be at least 1."),
            ("learning_rate", self.learning_rate > 0, "learning_rate must be above 0."),
            ("batch_size", self.batch_size >= 0, "batch_size must be at least 0."),
            ("l2", self.l2 >= 0, "l2 must be at least 0."),
            ("fraction", 0 < self.fraction <= 1, "fraction must be above 0 and at most 1."),
            ("min_examples", self.min_examples >= 1, "min_examples must be at least 1."),
            ("seed", self.seed >= 0, "seed must be at least 0."),
            (
                "min_clients",
                1 <= self.min_clients <= len(names),
                f"min_clients is {self.min_clients}, but must be between 1 and {len(names)}, the number of clients.",
            ),
            (
                "client_timeout_seconds",
                self.client_timeout_seconds is None or self.client_timeout_seconds > 0,
                "client_timeout_seconds must be above 0, or absent for no timeout.",
            ),
        ]
        yield from ((name, message) for name, holds, message in rules if not holds)
        yield from self._strategy_faults()

    def _strategy_faults(self) -> Iterator[tuple[str, str]]:
        kind = STRATEGIES.get(self.strategy)
        if kind is None:
            yield "strategy", f"Strategy {self.strategy!r} doesn't exist. Choose one of {', '.join(STRATEGIES)}."
            return
        allowed = ", ".join(kind.options) or "none"
        if unknown := sorted(set(self.strategy_options) - set(kind.options)):
            fault = f"Strategy {self.strategy} has no option {', '.join(unknown)}. Options: {allowed}."
            yield "strategy_options", fault
            return
        for name, value in self.strategy_options.items():
            if fault_of_value := kind.options[name].fault(value, len(self.clients)):
                yield f"strategy_options/{name}", f"{name} {fault_of_value}."

    @property
    def digest(self) -> str:
        """SHA-256 of everything that determines the weights of round k.

        The number of rounds and the timeout aren't included, so that a longer training continues a shorter one.
        """
        identity = asdict(self) | {"model": MODEL}
        del identity["rounds"], identity["client_timeout_seconds"]
        return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> str:
        """Serializes the declaration as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Federation:
        """Reads a declaration from `to_json`."""
        values: dict[str, Any] = json.loads(text)
        values["clients"] = tuple(Client(**client) for client in values["clients"])
        values["features"] = tuple(values["features"])
        return cls(**values)
