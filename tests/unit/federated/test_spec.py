from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.errors import InvalidArgument
from federated.spec import Client, Federation

CLIENTS = (Client("ewr", "a.b.c", "origin = 'EWR'"), Client("jfk", "a.b.c", "origin = 'JFK'"))


def make(**overrides: Any) -> Federation:
    return Federation(**({"clients": CLIENTS, "features": ("x",), "target": "late"} | overrides))


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"clients": ()}, "client"),
        ({"clients": CLIENTS + CLIENTS[:1]}, "ewr"),
        ({"features": ()}, "feature"),
        ({"features": ("x", "x")}, "differ"),
        ({"features": ("late",)}, "'late'"),
        ({"rounds": 0}, "rounds"),
        ({"local_epochs": 0}, "local_epochs"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"batch_size": -1}, "batch_size"),
        ({"fraction": 1.5}, "fraction"),
        ({"min_clients": 3}, "min_clients is 3"),
        ({"min_clients": 0}, "min_clients is 0"),
        ({"client_timeout_seconds": 0.0}, "client_timeout_seconds"),
        ({"strategy": "fedsgd"}, "fedavg, fedprox"),
        ({"strategy": "fedavg", "strategy_options": {"proximal_mu": 1.0}}, "proximal_mu"),
    ],
)
def test_the_error_names_an_invalid_value(overrides: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        make(**overrides)


def test_a_declaration_survives_serialization() -> None:
    whole = make(strategy="fedprox", strategy_options={"proximal_mu": 0.1}, client_timeout_seconds=2.5)
    assert Federation.from_json(whole.to_json()) == whole


def test_the_digest_covers_everything_that_determines_the_weights() -> None:
    start = make()
    assert make().digest == start.digest
    assert replace(start, rounds=30, client_timeout_seconds=1.0).digest == start.digest
    for change in ({"learning_rate": 0.2}, {"seed": 1}, {"features": ("x", "z")}, {"clients": CLIENTS[::-1]}):
        assert replace(start, **change).digest != start.digest
