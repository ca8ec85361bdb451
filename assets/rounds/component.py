"""The component that makes a federated training out of YAML or a published definition."""

from typing import Self

import dagster as dg
from pydantic import Field, model_validator

from assets.datasets.checks import asset_checks
from assets.declaration import AssetId, TableComponent
from assets.rounds import checks as round_checks
from assets.rounds.partitions import clients
from assets.rounds.training import train
from core.errors import InvalidArgument
from core.ids import asset_key
from federated.spec import Federation
from resources.delta import Delta
from resources.flower import Flower


class RoundsConfig(dg.Config):
    """Run configuration of a federated training."""

    restart: bool = False
    """Starts a new training even if one on the same data and declaration can be continued."""


class FederatedTrainingComponent(TableComponent):
    """Trains a logistic model over clients that never share rows, each round a materialization.

    A run continues after the last complete round of the same declaration on the same data versions.
    """

    table: AssetId = Field(description="Table with the rows of all clients.")
    clients: dict[str, str] = Field(
        min_length=1, description="Client name to a SQL predicate: the rows that belong to this client alone."
    )
    features: list[str] = Field(min_length=1, description="Numeric columns; missing values count as the mean.")
    target: str = Field(description="Boolean column to predict; rows where it is missing are no examples.")
    train_where: str = Field("true", description="SQL predicate of the rows to train on.")
    holdout_where: str = Field("false", description="SQL predicate of the rows to judge the global model by.")
    strategy: str = Field("fedavg", description="Flower strategy, such as fedavg, fedprox, fedadam or krum.")
    strategy_options: dict[str, float] = Field(default_factory=dict, description="Options of the strategy.")
    rounds: int = Field(10, description="Number of the last round.")
    local_epochs: int = Field(1, description="Passes over a client's rows in each round.")
    learning_rate: float = Field(0.1, description="Step of the clients' descent.")
    batch_size: int = Field(0, description="Rows per step; 0 takes all of a client's rows at once.")
    l2: float = Field(0.0, description="Weight of the squared norm in the clients' loss.")
    fraction: float = Field(1.0, description="Share of the clients asked to train in each round.")
    min_clients: int = Field(2, description="A round stands if at least this many clients answer.")
    min_examples: int = Field(20, description="Clients with fewer rows take no part.")
    client_timeout_seconds: float | None = Field(None, description="A client that takes longer misses the round.")
    seed: int = Field(0, description="Decides the order of mini-batches and the drawing of clients.")
    baseline_auc: float | None = Field(None, description="The last round must have a better AUC than this.")
    compare_alone: bool = Field(True, description="Whether to train each client's own model, to show what it gains.")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        try:
            self.federation()
        except InvalidArgument as error:
            raise ValueError(error.detail) from error
        return self

    def federation(self) -> Federation:
        """The training as the engine takes it.

        Raises:
            InvalidArgument: an attribute makes no sense.
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

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset, its built-in checks and the declared ones."""
        key = dg.AssetKey(asset_key(self.asset))
        spec = self.spec(kinds={"flower", "numpy"}, deps=[self.table])

        @dg.multi_asset(
            name=self.op_name,
            specs=[spec],
            check_specs=round_checks.specs(key, baseline_auc=self.baseline_auc, compare_alone=self.compare_alone),
            # Two runs of one training would do the same rounds twice.
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
