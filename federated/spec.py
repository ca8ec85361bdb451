"""What a federation is: clients, features, strategy and schedule. Plain data, cheap to import."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.errors import InvalidArgument

MODEL = "logistic/1"
"""Name and generation of the local model; a change of its arithmetic changes every digest."""


@dataclass(frozen=True, slots=True)
class StrategyKind:
    """One of Flower's strategies as a federation may name it."""

    flower_class: str
    options: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    """Attributes that hold the server's optimizer state and must survive between rounds."""


STRATEGIES: Mapping[str, StrategyKind] = {
    "fedavg": StrategyKind("FedAvg"),
    "fedprox": StrategyKind("FedProx", ("proximal_mu",)),
    "fedavgm": StrategyKind("FedAvgM", ("server_learning_rate", "server_momentum"), ("momentum_vector",)),
    "fedadagrad": StrategyKind("FedAdagrad", ("eta", "tau"), ("m_t", "v_t")),
    "fedadam": StrategyKind("FedAdam", ("eta", "beta_1", "beta_2", "tau"), ("m_t", "v_t")),
    "fedyogi": StrategyKind("FedYogi", ("eta", "beta_1", "beta_2", "tau"), ("m_t", "v_t")),
    "fedmedian": StrategyKind("FedMedian"),
    "fedtrimmedavg": StrategyKind("FedTrimmedAvg", ("beta",)),
    "krum": StrategyKind("Krum", ("num_malicious_nodes",)),
    "multikrum": StrategyKind("MultiKrum", ("num_malicious_nodes", "num_nodes_to_select")),
}


@dataclass(frozen=True, slots=True)
class Client:
    """One member: the rows of `table` that satisfy the SQL predicate `where`, and no others."""

    name: str
    table: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Federation:
    """A federated training of a logistic model.

    Raises:
        InvalidArgument: a value makes no sense; the detail names it and what is allowed.
    """

    clients: tuple[Client, ...]
    features: tuple[str, ...]
    target: str
    """Boolean column; rows where it is null are no examples."""
    train_where: str = "true"
    holdout_where: str = "false"
    """Predicate of the rows every client keeps for judging the global model."""
    strategy: str = "fedavg"
    strategy_options: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 3
    local_epochs: int = 1
    learning_rate: float = 0.1
    batch_size: int = 0
    """Examples per step of local descent; 0 takes all of them at once."""
    l2: float = 0.0
    fraction: float = 1.0
    """Share of the clients asked to train in each round."""
    min_clients: int = 2
    """A round stands if at least this many clients answer."""
    min_examples: int = 20
    """A client with fewer training rows takes no part: aggregates over a handful of rows would describe them."""
    seed: int = 0
    client_timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise InvalidArgument(fault)

    def _faults(self) -> list[str]:
        names = [client.name for client in self.clients]
        rules = [
            (bool(names), "A federation needs at least one client."),
            (len(set(names)) == len(names), f"Client names must differ: {', '.join(names)}."),
            (bool(self.features), "A federation needs at least one feature."),
            (len(set(self.features)) == len(self.features), "Features must differ."),
            (self.target not in self.features, f"The target {self.target!r} cannot be a feature."),
            (self.rounds >= 1, "rounds must be at least 1."),
            (self.local_epochs >= 1, "local_epochs must be at least 1."),
            (self.learning_rate > 0, "learning_rate must be above 0."),
            (self.batch_size >= 0, "batch_size must be at least 0."),
            (self.l2 >= 0, "l2 must be at least 0."),
            (0 < self.fraction <= 1, "fraction must be above 0 and at most 1."),
            (self.min_examples >= 1, "min_examples must be at least 1."),
            (
                1 <= self.min_clients <= len(names),
                f"min_clients is {self.min_clients}, but must be between 1 and the {len(names)} clients.",
            ),
            (
                self.client_timeout_seconds is None or self.client_timeout_seconds > 0,
                "client_timeout_seconds must be above 0, or absent for no limit.",
            ),
        ]
        return [message for holds, message in rules if not holds] + self._strategy_faults()

    def _strategy_faults(self) -> list[str]:
        kind = STRATEGIES.get(self.strategy)
        if kind is None:
            return [f"Unknown strategy {self.strategy!r}; choose one of {', '.join(STRATEGIES)}."]
        unknown = sorted(set(self.strategy_options) - set(kind.options))
        allowed = ", ".join(kind.options) or "none"
        return (
            [f"Strategy {self.strategy} has no option {', '.join(unknown)}; its options: {allowed}."] if unknown else []
        )

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the weights of round k.

        The number of rounds and the time limit are left out: a longer training continues a shorter one.
        """
        identity = asdict(self) | {"model": MODEL}
        del identity["rounds"], identity["client_timeout_seconds"]
        return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> str:
        """The whole declaration as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Federation:
        """Reads what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        values["clients"] = tuple(Client(**client) for client in values["clients"])
        values["features"] = tuple(values["features"])
        return cls(**values)
