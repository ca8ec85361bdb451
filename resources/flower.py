"""Flower as a Dagster resource: where federations run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import dagster as dg

if TYPE_CHECKING:
    from federated.clients import Source
    from federated.model import Arrays, Scaling
    from federated.outcomes import Judgement, Round
    from federated.spec import Federation


class Flower(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Runs federations with Flower's strategies, messages, ServerApp and ClientApp.

    `embedded` delivers the messages inside the run's process, one federation at a time. Flower is imported on first
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
        """Trains from the round after `start`, hands each round to `on_round`, and returns the last.

        Raises:
            QuorumLost: too few clients answered; the rounds before are kept.
        """
        from federated import rounds

        return rounds.run(federation, sources, start=start, on_round=on_round)

    def evaluate(
        self, federation: Federation, sources: Sequence[Source], weights: Arrays, scaling: Scaling
    ) -> Judgement:
        """Lets every client judge a model on its own holdout."""
        from federated import rounds

        return rounds.evaluate(federation, sources, weights, scaling)

    def alone(self, federation: Federation, sources: Sequence[Source], client: str) -> Judgement:
        """What one client reaches with its own rows only, judged by all clients."""
        from federated import rounds

        return rounds.alone(federation, sources, client)
