"""A federated training as a step: resumable, with one Delta commit and one materialization per round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.rounds import checks, report
from assets.rounds.partitions import columns, overlap
from core import clock
from core.errors import QuorumLost
from core.ids import asset_id, new_id
from resources.delta import materialized

if TYPE_CHECKING:
    from federated.outcomes import Evaluation, Round
    from federated.spec import Federation
    from lakehouse.step import Step
    from lakehouse.tables import Commit, Snapshot
    from resources.delta import Delta
    from resources.flower import Flower

# Tags that Dagster adds to the result of a step. An event that the step logs must have them, too.
DATA_VERSION_TAG = "dagster/data_version"
CODE_VERSION_TAG = "dagster/code_version"


def train(
    context: dg.AssetExecutionContext,
    delta: Delta,
    flower: Flower,
    federation: Federation,
    *,
    table: str,
    restart: bool,
    baseline_auc: float | None,
    compare_alone: bool,
) -> dg.MaterializeResult[Any]:
    """Starts or continues the training, stores and reports every round, and evaluates the checks on the last round."""
    from federated.clients import table_sources

    step = delta.step(context, engine="flower", params={"spec_digest": federation.digest, "rounds": federation.rounds})
    rows = step.read(table, columns=columns(federation))
    sources = table_sources({table: rows}, federation)
    recorder = _Recorder(context, delta, step, federation, rows.data_version)
    start = None if restart else recorder.continue_from()
    if start is not None and start.number == federation.rounds:
        context.log.info("All %d rounds exist for these data. Run with restart to train from scratch.", start.number)
    last = flower.train(federation, sources, start=start, on_round=recorder.store)
    metadata: dict[str, Any] = {"convergence": report.convergence(recorder.rounds)}
    results = [
        checks.rounds_complete(recorder.stored_numbers(), federation.rounds),
        checks.clients_apart(overlap(rows, federation)),
    ]
    if baseline_auc is not None:
        results.append(checks.beats_baseline(last, baseline_auc))
    if compare_alone:
        results.append(checks.better_together(last, _alone(flower, federation, sources)))
    return recorder.result(last, metadata, results)


def _alone(flower: Flower, federation: Federation, sources: list[Any]) -> dict[str, Evaluation | str]:
    evaluations: dict[str, Evaluation | str] = {}
    for client in federation.clients:
        try:
            evaluations[client.name] = flower.single_client_baseline(federation, sources, client.name)
        except QuorumLost as error:
            evaluations[client.name] = error.detail
    return evaluations


class _Recorder:
    """Writes rounds to the table of the asset and reports each to Dagster."""

    def __init__(
        self, context: dg.AssetExecutionContext, delta: Delta, step: Step, federation: Federation, input_version: str
    ) -> None:
        self._context = context
        self._tables = delta.tables()
        self._step = step
        self._federation = federation
        self._input_version = input_version
        self._training = new_id("training")
        self._commit: Commit | Snapshot | None = None
        self.rounds: list[Round] = []

    def continue_from(self) -> Round | None:
        """Continues the newest training of this declaration on these data. Returns its last complete round, if any."""
        from federated.history import latest_training

        asset = asset_id(self._context.asset_key.path)
        if not self._tables.exists(asset):
            return None
        training = latest_training(self._tables.snapshot(asset), self._federation, self._input_version)
        if training is None or not training.rounds:
            return None
        self._training = training.id
        self.rounds = [done for done in training.rounds if done.number <= self._federation.rounds]
        last = self.rounds[-1]
        self._context.log.info("Training %s continues after round %d", self._training, last.number)
        self._commit = self._write(last)
        if last.number < self._federation.rounds and self._reported() != (self._training, last.number):
            self._report(last)  # the process was killed between the commit and the event
        return last

    def store(self, done: Round) -> None:
        """Commits a round, and reports it unless it is the last round, which is the result of the step."""
        self._commit = self._write(done)
        self.rounds.append(done)
        if done.number < self._federation.rounds:
            self._report(done)

    def stored_numbers(self) -> list[int]:
        """Returns the round numbers of this training in the table."""
        import polars as pl

        rows = self._tables.snapshot(self._step.asset).scan().filter(pl.col("training") == self._training)
        numbers: list[int] = rows.select("round").collect()["round"].to_list()
        return [number for number in numbers if number <= self._federation.rounds]

    def result(
        self, last: Round, metadata: dict[str, Any], check_results: list[dg.AssetCheckResult]
    ) -> dg.MaterializeResult[Any]:
        """Returns the materialization of the last round."""
        assert self._commit is not None
        return materialized(
            self._context, self._commit, metadata=self._metadata(last) | metadata, check_results=check_results
        )

    def _write(self, done: Round) -> Commit:
        from federated.history import to_row
        from lakehouse.evolution import filled

        row = to_row(done, self._federation, self._training, self._input_version, clock.now())
        # If this round is already stored, `once` makes `append` return its commit.
        rows = filled(row, self._step.evolve(row.schema))
        return self._step.append(rows, once=f"{self._training}/{done.number}")

    def _metadata(self, done: Round) -> dict[str, Any]:
        return report.round_metadata(done, self._federation, self._training, self._input_version)

    def _report(self, done: Round) -> None:
        assert self._commit is not None
        result = materialized(self._context, self._commit, metadata=self._metadata(done))
        assert result.data_version is not None
        self._context.log_event(
            dg.AssetMaterialization(
                asset_key=self._context.asset_key,
                metadata=result.metadata,
                tags={DATA_VERSION_TAG: result.data_version.value, CODE_VERSION_TAG: self._step.code_version},
            )
        )

    def _reported(self) -> tuple[Any, Any] | None:
        event = self._context.instance.get_latest_materialization_event(self._context.asset_key)
        materialization = event.asset_materialization if event else None
        if materialization is None:
            return None
        training, number = (materialization.metadata.get(name) for name in ("training", "round"))
        return (getattr(training, "value", None), getattr(number, "value", None))
