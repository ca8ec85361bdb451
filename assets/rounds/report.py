"""Metadata of the materialization of a round: metrics, a table of the clients, and a convergence plot."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from federated.outcomes import Round
    from federated.spec import Federation

_CLIENT_FIGURES = ("examples", "train_loss", "holdout_examples", "loss", "brier", "auc", "bytes_sent", "bytes_received")


def round_metadata(done: Round, federation: Federation, training: str, input_version: str) -> dict[str, Any]:
    """Returns the metadata of a round. Metrics are plain numbers, so that Dagster plots them over the rounds."""
    overall = {"loss": done.metrics.loss, "brier": done.metrics.brier, "auc": done.metrics.auc}
    per_client = {
        f"{client.client}/{figure}": getattr(client, figure)
        for client in done.clients
        for figure in ("auc", "loss", "examples")
    }
    figures = overall | per_client | {"train_loss": done.metrics.train_loss}
    return {
        "round": done.number,
        "rounds": federation.rounds,
        "training": training,
        "strategy": federation.strategy,
        "spec_digest": federation.digest,
        "input_version": input_version,
        "examples": done.metrics.examples,
        "holdout_examples": done.metrics.holdout_examples,
        "clients_trained": done.metrics.clients_trained,
        "clients": _client_table(done),
        **{name: value for name, value in figures.items() if value is not None},
    }


def _client_table(done: Round) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "client": client.client,
                "failure": client.train_failure or client.evaluate_failure or "",
                **{name: getattr(client, name) for name in _CLIENT_FIGURES},
            }
        )
        for client in done.clients
    ]
    columns = [
        dg.TableColumn("client", "string"),
        dg.TableColumn("failure", "string"),
        *(dg.TableColumn(name, "float") for name in _CLIENT_FIGURES),
    ]
    return dg.TableMetadataValue(records, dg.TableSchema(columns))


def convergence(rounds: Sequence[Round]) -> dg.MarkdownMetadataValue:
    """Returns a PNG of loss and AUC of the global model over the rounds, overall and for each client."""
    # No pyplot: it has global state and may need a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for position, (name, title) in enumerate([("loss", "Log loss on the holdout"), ("auc", "AUC on the holdout")]):
        axes = figure.add_subplot(1, 2, position + 1)
        for client in [client.client for client in rounds[-1].clients]:
            series = [
                (done.number, getattr(part, name)) for done in rounds for part in done.clients if part.client == client
            ]
            axes.plot(*zip(*_computed(series), strict=True), linewidth=1, alpha=0.7, label=client)
        overall = _computed([(done.number, getattr(done.metrics, name)) for done in rounds])
        axes.plot(*zip(*overall, strict=True), color="black", linewidth=2, marker="o", markersize=3, label="all")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("round")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    image = base64.b64encode(buffer.getvalue()).decode()
    return dg.MarkdownMetadataValue(f"![convergence over the rounds](data:image/png;base64,{image})")


def _computed(series: Sequence[tuple[int, float | None]]) -> list[tuple[int, float]]:
    return [(number, value) for number, value in series if value is not None] or [(0, float("nan"))]
