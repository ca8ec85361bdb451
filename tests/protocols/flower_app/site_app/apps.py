"""The engine's own ServerApp and ClientApp, as Flower loads them from an app bundle."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from federated.app import client_app
from federated.model import Examples
from federated.outcomes import Round, pack
from federated.rounds import server_app
from federated.spec import Client, Federation

FEDERATION = Federation(
    clients=tuple(Client(name, "lab.silver.rows", f"site = '{name}'") for name in ("east", "west")),
    features=("x0", "x1", "x2"),
    target="y",
    strategy="fedadam",
    rounds=2,
    local_epochs=2,
    batch_size=16,
    seed=5,
)


class Site:
    """Rows of one site; the two differ."""

    def __init__(self, number: int) -> None:
        self._number = number

    def train(self) -> Examples:
        return self._rows(0)

    def holdout(self) -> Examples:
        return self._rows(1)

    def _rows(self, part: int) -> Examples:
        rng = np.random.default_rng([self._number, part])
        x = rng.normal(loc=self._number, size=(200, 3))
        return Examples(x, (x.sum(axis=1) > 3 * self._number).astype(np.float64))


SITES = [Site(0), Site(1)]
client = client_app(SITES, FEDERATION)
server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    while len(nodes := list(grid.get_node_ids())) < len(SITES):
        time.sleep(0.1)
    names = {node_id: f"node {node_id}" for node_id in nodes}
    stored: list[Round] = []
    traffic: dict[str, Any] = {}
    server_app(FEDERATION, names, start=None, on_round=stored.append, traffic=lambda: traffic)(grid, context)
    result = Path(str(context.run_config["result"]))
    partial = result.with_suffix(".partial")
    partial.write_bytes(pack(stored[-1].weights))
    partial.rename(result)
