"""Ten clients, three rounds: our in-process grid against Flower's own simulation (Ray), same ClientApp and ServerApp.

Headwater does not depend on Ray, so the peer runs in a separate environment:

    python3.11 -m venv PEER && PEER/bin/pip install "flwr[simulation]==1.41.0" safetensors
    python tests/bench/bench_federated.py --peer-python PEER/bin/python

`FLOWER_SIMULATION_PYTHON` names the interpreter where arguments cannot be given. Without it the bench is left out.
Both sides run in fresh processes, in turn. Two figures: the call (imports done; Ray's start belongs to the call, since
every simulation starts it) and the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).parents[2]
CLIENTS, ROUNDS, REPEATS = 10, 3, 3
VARIABLE = "FLOWER_SIMULATION_PYTHON"


class Digits:
    """Rows of one client, read from a file by the process that needs them, as a Flower app would."""

    def __init__(self, path: str, partition: int) -> None:
        self.path, self.partition = path, partition

    def train(self) -> Any:
        return _digits(self.path, self.partition, 0)

    def holdout(self) -> Any:
        return _digits(self.path, self.partition, 1)


@cache
def _digits(path: str, partition: int, first: int) -> Any:
    import numpy as np

    from federated.model import Examples

    with np.load(path) as stored:
        x, y = (np.array_split(stored[name], CLIENTS)[partition][first::2] for name in ("x", "y"))
    return Examples(x, y)


def _federation() -> Any:
    from federated.spec import Client, Federation

    return Federation(
        clients=tuple(Client(f"c{n}", "lab.silver.digits", f"site = {n}") for n in range(CLIENTS)),
        features=tuple(f"p{n}" for n in range(64)),
        target="high",
        strategy="fedadam",
        rounds=ROUNDS,
        local_epochs=5,
        batch_size=32,
    )


def run_ours(path: str) -> tuple[float, Any]:
    """Returns the seconds of the call and the last round."""
    from federated import rounds

    sources = [Digits(path, partition) for partition in range(CLIENTS)]
    started = time.perf_counter()
    last = rounds.run(_federation(), sources)
    return time.perf_counter() - started, last


def run_peer(path: str) -> tuple[float, Any]:
    """Returns the seconds of `run_simulation` and the last round."""
    import logging

    # Ray's workers import this file by name; as __main__ its classes would be copied into every message.
    import bench_federated as module
    from flwr.serverapp import Grid, ServerApp
    from flwr.simulation import run_simulation

    from federated.app import client_app
    from federated.rounds import server_app

    logging.getLogger("flwr").setLevel(logging.ERROR)
    results: list[Any] = []
    spec = module._federation()
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Any) -> None:
        while len(list(grid.get_node_ids())) < CLIENTS:
            time.sleep(0.01)  # the simulation registers its nodes in another thread
        names = {node_id: f"c{position}" for position, node_id in enumerate(grid.get_node_ids())}
        server_app(spec, names, start=None, on_round=results.append, traffic=dict)(grid, context)

    app = client_app([module.Digits(path, partition) for partition in range(CLIENTS)], spec)
    started = time.perf_counter()
    run_simulation(server, app, CLIENTS, backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}})
    return time.perf_counter() - started, results[-1]


def _side(which: str, path: str) -> None:
    seconds, last = run_ours(path) if which == "ours" else run_peer(path)
    weights = {name: array.tolist() for name, array in last.weights.items()}
    print("\n" + json.dumps({"call": seconds, "weights": weights, "auc": last.metrics.auc, "round": last.number}))


def _apart(python: str, which: str, path: str) -> dict[str, Any]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(Path(__file__).parent)]),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONWARNINGS": "ignore",
    }
    started = time.perf_counter()
    done = subprocess.run(
        [python, __file__, "--side", which, "--data", path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    total = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{which} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result | {"total": total}


def run(peer_python: str | None = None) -> list[dict[str, Any]]:
    """Measures both sides in turn; empty where the peer is not installed."""
    import numpy as np
    from sklearn.datasets import load_digits

    peer_python = peer_python or os.environ.get(VARIABLE)
    if not peer_python:
        print(f"Left out: set {VARIABLE} or give --peer-python; see the head of {__file__}.", file=sys.stderr)
        return []
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "digits.npz")
        np.savez(path, x=digits.data[order], y=(digits.target[order] >= 5).astype(np.float64))
        pairs = [(_apart(sys.executable, "ours", path), _apart(peer_python, "peer", path)) for _ in range(REPEATS)]
    difference = max(
        abs(a - b)
        for measured, theirs in pairs
        for name in measured["weights"]
        for a, b in zip(measured["weights"][name], theirs["weights"][name], strict=True)
    )
    assert difference < 1e-12, f"the two sides trained different models: {difference}"
    note = f"same ClientApp, ServerApp and FedAdam; final weights differ by {difference:.0e} at most"
    return [
        _row("federated: 10 clients x 3 rounds, the call", "call", ">= 15", pairs, note),
        _row("federated: the same, whole process", "total", "no goal", pairs, "limited by importing flwr (about 1 s)"),
    ]


def _row(
    name: str, figure: str, goal: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]], note: str
) -> dict[str, Any]:
    measured, theirs = (median(pair[side][figure] for pair in pairs) * 1000 for side in (0, 1))
    return {
        "name": name,
        "peer": "flwr run_simulation (Ray)",
        "ours_ms": round(measured, 2),
        "peer_ms": round(theirs, 2),
        "ratio": round(theirs / measured, 2),
        "goal": goal,
        "note": note,
    }


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="interpreter of an environment with flwr[simulation]")
    parser.add_argument("--side", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        _side(arguments.side, arguments.data)
        return
    for row in run(arguments.peer_python):
        print(row)


if __name__ == "__main__":
    main()
