"""Flower as a Dagster resource that runs federations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import dagster as dg

if TYPE_CHECKING:
    from federated.clients import Source
    from federated.model import Arrays, Scaling
    from federated.outcomes import Evaluation, Round
    from federated.spec import Federation


class Flower(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Runs federations with the strategies, messages, ServerApp and ClientApp of Flower.

    `embedded` delivers messages within the process of the run, one federation at a time. Flower is imported on first
    use.
    """

    mode: Literal["embedded"] = "embedded"

    def train(
        self,
        federation: Federation,
        sources: Sequence[Source],
        *,
        start: Round | None = None,
        on_round: Callable[[Round], None],
    ) -> Round:
        """Trains from the round after `start`, passes each round to `on_round`, and returns the last round.

        Raises:
            QuorumLost: too few clients replied. Earlier rounds are stored.
        """
        from federated import rounds

        return rounds.run(federation, sources, start=start, on_round=on_round)

    def evaluate(
        self, federation: Federation, sources: Sequence[Source], weights: Arrays, scaling: Scaling
    ) -> Evaluation:
        """Evaluates a model on the holdout of every client."""
        from federated import rounds

        return rounds.evaluate(federation, sources, weights, scaling)

    def single_client_baseline(self, federation: Federation, sources: Sequence[Source], client: str) -> Evaluation:
        """Evaluates, on all clients, a model that was trained on the rows of one client only."""
        from federated import rounds

        return rounds.single_client_baseline(federation, sources, client)
