"""Runs a federation: Flower's ServerApp and ClientApp over the in-process grid. Can resume after a completed round."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.task_identity import TaskIdentity

from core.errors import Conflict, InvalidArgument
from federated import model
from federated.app import MOMENTS, client_app, from_record, to_record
from federated.grid import InProcessGrid, Traffic, Transmission
from federated.model import Arrays, Scaling
from federated.outcomes import Evaluation, Round, moments_fault, pool_evaluations
from federated.spec import Federation
from federated.strategies import ResumableStrategy, require_quorum

if TYPE_CHECKING:
    from federated.clients import Source

RUN_ID = 1
# Flower stores the identity of the running task in class attributes, so a process can run one federation at a time.
_one_run = Lock()


def run(
    federation: Federation,
    sources: Sequence[Source],
    *,
    start: Round | None = None,
    on_round: Callable[[Round], None] = lambda _: None,
    observe: Callable[[Transmission], None] | None = None,
) -> Round:
    """Trains up to round `federation.rounds` and returns that round.

    `start` is the last completed round of an interrupted training. With the same federation and the same rows, the
    final weights are bit for bit those of an uninterrupted training. `on_round` stores a round; an exception from it
    stops the training. `observe` receives every message of the grid.

    Raises:
        QuorumLost: fewer than `min_clients` clients replied.
        Conflict: this process is already running a federation.
    """
    _require_source_per_client(federation, sources)
    if start is not None and start.number >= federation.rounds:
        return start
    last: list[Round] = []

    def complete(finished: Round) -> None:
        on_round(finished)
        last[:] = [finished]

    grid = _grid(federation, sources, observe)
    with _flower_run():
        app = server_app(federation, grid.names, start=start, on_round=complete, traffic=lambda: grid.traffic)
        app(grid, _context())
    return last[0]


def evaluate(federation: Federation, sources: Sequence[Source], weights: Arrays, scaling: Scaling) -> Evaluation:
    """Evaluates a model on the holdout of every client, with the same messages as in a round."""
    _require_source_per_client(federation, sources)
    grid = _grid(federation, sources, None)
    with _flower_run():
        content = RecordDict({"arrays": to_record(weights), "config": _scaling_config(scaling)})
        messages = [Message(content, node_id, MessageType.EVALUATE) for node_id in grid.get_node_ids()]
        evaluation = pool_evaluations(grid.send_and_receive(messages), grid.names)
    require_quorum("Evaluation", federation, evaluation.by_client, evaluation.failures)
    return evaluation


def single_client_baseline(federation: Federation, sources: Sequence[Source], client: str) -> Evaluation:
    """Trains on the rows of one client only, for the same number of rounds, and evaluates the model on all clients.

    Shows the quality that the client would reach without the federation.
    """
    position = [member.name for member in federation.clients].index(client)
    solo = replace(
        federation,
        clients=(federation.clients[position],),
        min_clients=1,
        fraction=1.0,
        strategy="fedavg",
        strategy_options={},
    )
    trained = run(solo, [sources[position]])
    return evaluate(federation, sources, trained.weights, trained.scaling)


def server_app(
    federation: Federation,
    names: Mapping[int, str],
    *,
    start: Round | None,
    on_round: Callable[[Round], None],
    traffic: Callable[[], Mapping[str, Traffic]],
) -> ServerApp:
    """Creates the ServerApp: it standardizes the features over all clients, then runs the strategy round by round."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        scaling = start.scaling if start else standardize(federation, names, grid)
        strategy = ResumableStrategy(federation, scaling, names, start=start, on_round=on_round, traffic=traffic)
        strategy.start(
            grid,
            to_record(start.weights if start else model.initial_weights(len(federation.features))),
            num_rounds=federation.rounds - (start.number if start else 0),
            train_config=_scaling_config(scaling),
            evaluate_config=_scaling_config(scaling),
        )

    return app


def standardize(federation: Federation, names: Mapping[int, str], grid: Grid) -> Scaling:
    """Computes one mean and scale per feature from the counts, means and squared distances of the clients.

    A client that doesn't reply may still train later, with the scaling of the others.
    """
    messages = [Message(RecordDict(), node_id, MOMENTS) for node_id in grid.get_node_ids()]
    parts: dict[str, Arrays] = {}
    failures: dict[str, str] = {}
    for reply in grid.send_and_receive(messages):
        name = names[reply.metadata.src_node_id]
        if fault := moments_fault(reply, len(federation.features)):
            failures[name] = fault
        else:
            parts[name] = from_record(reply.content.array_records["arrays"])
    require_quorum("Standardization", federation, parts, failures)
    return Scaling.from_moments(list(parts.values()))


def _require_source_per_client(federation: Federation, sources: Sequence[Source]) -> None:
    if len(sources) != len(federation.clients):
        raise InvalidArgument(f"The federation has {len(federation.clients)} clients, but {len(sources)} sources.")


def _grid(
    federation: Federation, sources: Sequence[Source], observe: Callable[[Transmission], None] | None
) -> InProcessGrid:
    return InProcessGrid(
        client_app(sources, federation),
        [client.name for client in federation.clients],
        run_id=RUN_ID,
        client_timeout_seconds=federation.client_timeout_seconds,
        observe=observe,
    )


def _scaling_config(scaling: Scaling) -> ConfigRecord:
    return ConfigRecord({"mean": scaling.mean.tolist(), "scale": scaling.scale.tolist()})


def _context() -> Context:
    return Context(run_id=RUN_ID, node_id=SUPERLINK_NODE_ID, node_config={}, state=RecordDict(), run_config={})


@contextmanager
def _flower_run() -> Iterator[None]:
    if not _one_run.acquire(blocking=False):
        raise Conflict("This process is already running a federation. Wait until it ends, or use another process.")
    log = logging.getLogger("flwr")
    level = log.level
    try:
        log.setLevel(logging.WARNING)  # Flower logs every step; the caller reports the rounds
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = RUN_ID, RUN_ID, SUPERLINK_NODE_ID
        yield
    finally:
        log.setLevel(level)
        for name in ("_run_id", "_task_id", "_node_id"):
            setattr(TaskIdentity, name, None)  # Flower's setters don't accept None
        _one_run.release()
