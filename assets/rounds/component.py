"""The component for federated trainings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import dagster as dg
from pydantic import Field, model_validator

from assets.datasets.checks import asset_checks, step_checks
from assets.declaration import AssetId, TableComponent
from assets.rounds import checks as round_checks
from assets.rounds.binding import bind
from assets.rounds.partitions import clients
from assets.rounds.training import train
from assets.step_checks import checked_asset
from core.errors import InvalidArgument
from core.ids import asset_key
from federated.spec import Federation
from lakehouse.comparison import Comparison
from resources.delta import Delta
from resources.flower import Flower

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.findings import Findings


class RoundsConfig(dg.Config):
    """Run configuration of a federated training."""

    restart: bool = False
    """Whether to start a new training even if one on the same data and declaration can be continued."""


class FederatedTrainingComponent(TableComponent):
    """A logistic model trained over clients that never share rows. Each round is a materialization.

    A run continues after the last complete round of the same declaration on the same data versions.
    """

    table: AssetId = Field(description="Table with the rows of all clients.")
    clients: dict[str, str] = Field(
        min_length=1, description="SQL predicate of the rows that belong to a client, by client name."
    )
    features: list[str] = Field(min_length=1, description="Numeric columns. Missing values are replaced with the mean.")
    target: str = Field(description="Boolean column to predict. Rows where it is missing are excluded.")
    train_where: str = Field("true", description="SQL predicate of the rows to train on.")
    holdout_where: str = Field("false", description="SQL predicate of the rows to evaluate the global model on.")
    strategy: str = Field("fedavg", description="Flower strategy, such as fedavg, fedprox, fedadam or krum.")
    strategy_options: dict[str, float] = Field(default_factory=dict, description="Options of the strategy.")
    rounds: int = Field(10, description="Number of the last round.")
    local_epochs: int = Field(1, description="Passes over the rows of a client in each round.")
    learning_rate: float = Field(0.1, description="Step size of the gradient descent of the clients.")
    batch_size: int = Field(0, description="Rows per step; 0 for all rows of a client.")
    l2: float = Field(0.0, description="Weight of the squared norm in the loss of the clients.")
    fraction: float = Field(1.0, description="Share of the clients that train in each round.")
    min_clients: int = Field(2, description="Minimum number of clients that must respond in a round.")
    min_examples: int = Field(
        20, description="Minimum number of rows of a client. Clients with fewer rows are excluded."
    )
    client_timeout_seconds: float | None = Field(
        None, description="Maximum time of a client in a round. A client that takes longer is left out of the round."
    )
    seed: int = Field(0, description="Seed of the order of mini-batches and of the selection of clients.")
    baseline_auc: float | None = Field(None, ge=0, lt=1, description="AUC that the last round must exceed.")
    compare_alone: bool = Field(
        True, description="Whether to train a model of each client alone, to compare it with the global model."
    )

    @model_validator(mode="after")
    def _valid_federation(self) -> Self:
        try:
            self.federation()
        except InvalidArgument as error:
            raise ValueError(f"{str(error.errors[0]['pointer'])[1:]}: {error.detail}") from error
        if self.baseline_auc is not None and self.holdout_where.strip().lower() == "false":
            raise ValueError("baseline_auc: holdout_where selects no row to evaluate the model on")
        return self

    def federation(self) -> Federation:
        """Returns the training as a declaration of the engine.

        Raises:
            InvalidArgument: an attribute is not valid.
        """
        return Federation(
            clients=clients(self.clients, self.table),
            features=tuple(self.features),
            target=self.target,
            train_where=self.train_where,
            holdout_where=self.holdout_where,
            strategy=self.strategy,
            strategy_options=self.strategy_options,
            rounds=self.rounds,
            local_epochs=self.local_epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            l2=self.l2,
            fraction=self.fraction,
            min_clients=self.min_clients,
            min_examples=self.min_examples,
            client_timeout_seconds=self.client_timeout_seconds,
            seed=self.seed,
        )

    def appended(self) -> "Mapping[str, pa.Schema]":
        """Returns the schema of the table of rounds, to which each round appends a row."""
        from federated.history import SCHEMA

        # Every round has the first column, so a table that lacks it is not a table of rounds.
        return {self.asset: SCHEMA.set(0, SCHEMA.field(0).with_nullable(False))}

    def comparison(self) -> Comparison:
        """Returns that the rounds of a new training count, without the id of the training and the times."""
        return Comparison(appends=True, varying=_UNIQUE_PER_TRAINING, matched_by=("round",))

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Binds features, target, and predicates to the columns of the table."""
        bind(self.table, self.federation(), findings)
        return self.appended()[self.asset]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset, its built-in checks, and the declared checks."""
        key = dg.AssetKey(asset_key(self.asset))
        spec = self.spec(kinds={"flower", "numpy"}, deps=[self.table])

        @checked_asset(
            name=self.op_name,
            specs=[spec],
            checks=step_checks(self.asset, self.checks),
            reported=round_checks.specs(key, baseline_auc=self.baseline_auc, compare_alone=self.compare_alone),
            # Two runs of one training would compute the same rounds twice.
            pool=self.op_name,
        )
        def rounds(
            context: dg.AssetExecutionContext, config: RoundsConfig, delta: Delta, flower: Flower
        ) -> dg.MaterializeResult:  # type: ignore[type-arg]
            return train(
                context,
                delta,
                flower,
                self.federation(),
                table=self.table,
                restart=config.restart,
                baseline_auc=self.baseline_auc,
                compare_alone=self.compare_alone,
            )

        return dg.Definitions(assets=[rounds], asset_checks=asset_checks(self.asset, self.checks))


_UNIQUE_PER_TRAINING = ("training", "finished_at")
"""Columns that differ between two trainings with the same rounds."""
