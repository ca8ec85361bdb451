"""Rounds as rows of a Delta table: one row, one commit per round, and where a broken training continues."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from federated.model import Scaling
from federated.outcomes import ClientRound, Metrics, Round, pack, unpack
from federated.spec import Federation

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot

KEY = ("training", "round")
"""A training has each round once."""

SCHEMA = pa.schema(
    [
        pa.field("training", pa.string(), metadata={"comment": "Id of one training; a restart begins a new one."}),
        pa.field("round", pa.int32(), metadata={"comment": "Number of the round, from 1."}),
        pa.field("spec_digest", pa.string(), metadata={"comment": "SHA-256 of all that decides the weights."}),
        pa.field("spec", pa.string(), metadata={"comment": "The federation as JSON."}),
        pa.field("input_version", pa.string(), metadata={"comment": "Data versions that the clients read."}),
        pa.field("strategy", pa.string(), metadata={"comment": "Flower strategy."}),
        pa.field("features", pa.list_(pa.string()), metadata={"comment": "Meaning of the weights, in order."}),
        pa.field("arrays", pa.binary(), metadata={"comment": "Global weights and bias, safetensors, float64."}),
        pa.field("optimizer_state", pa.binary(), metadata={"comment": "The server's optimizer state, safetensors."}),
        pa.field("scaling", pa.binary(), metadata={"comment": "Mean and scale of each feature, safetensors."}),
        pa.field("clients_trained", pa.int32(), metadata={"comment": "Clients whose update was aggregated."}),
        pa.field("examples", pa.int64(), metadata={"comment": "Rows the clients trained on."}),
        pa.field("train_loss", pa.float64(), metadata={"comment": "Mean log loss of the local models."}),
        pa.field("clients_judged", pa.int32(), metadata={"comment": "Clients whose judgement was counted."}),
        pa.field("holdout_examples", pa.int64(), metadata={"comment": "Rows the global model was judged on."}),
        pa.field("loss", pa.float64(), metadata={"comment": "Log loss on the holdouts."}),
        pa.field("brier", pa.float64(), metadata={"comment": "Brier score on the holdouts."}),
        pa.field("auc", pa.float64(), metadata={"comment": "Area under the ROC curve over the pooled holdouts."}),
        pa.field("client_metrics", pa.string(), metadata={"comment": "Each client's part as a JSON list."}),
        pa.field("finished_at", pa.timestamp("us", tz="UTC"), metadata={"comment": "When the round was complete."}),
    ]
)


def to_row(done: Round, federation: Federation, training: str, input_version: str, finished_at: datetime) -> pa.Table:
    """One round as a table of one row."""
    row: dict[str, Any] = {
        "training": training,
        "round": done.number,
        "spec_digest": federation.digest,
        "spec": federation.to_json(),
        "input_version": input_version,
        "strategy": federation.strategy,
        "features": list(federation.features),
        "arrays": pack(done.weights),
        "optimizer_state": pack(done.optimizer),
        "scaling": pack({"mean": done.scaling.mean, "scale": done.scaling.scale}),
        "client_metrics": json.dumps([asdict(client) for client in done.clients]),
        "finished_at": finished_at,
        **asdict(done.metrics),
    }
    return pa.Table.from_pylist([row], schema=SCHEMA)


def from_row(row: dict[str, Any]) -> Round:
    """The round that `to_row` wrote."""
    scaling = unpack(row["scaling"])
    return Round(
        number=row["round"],
        weights=unpack(row["arrays"]),
        optimizer=unpack(row["optimizer_state"]),
        scaling=Scaling(scaling["mean"], scaling["scale"]),
        metrics=Metrics(**{name: row[name] for name in Metrics.__dataclass_fields__}),
        clients=tuple(ClientRound(**client) for client in json.loads(row["client_metrics"])),
    )


@dataclass(frozen=True, slots=True)
class Training:
    """The rounds of one training that are complete, from 1 without a gap."""

    id: str
    rounds: tuple[Round, ...]


def latest_training(snapshot: Snapshot, federation: Federation, input_version: str) -> Training | None:
    """The newest training of this very federation on these very data, or None if there is none to continue."""
    same = (pl.col("spec_digest") == federation.digest) & (pl.col("input_version") == input_version)
    rows = snapshot.scan().filter(same).sort("training", "round").collect()
    if rows.is_empty():
        return None
    newest = rows["training"].max()  # ids sort by time
    found = [from_row(row) for row in rows.filter(pl.col("training") == newest).iter_rows(named=True)]
    complete = [done for position, done in enumerate(found, start=1) if done.number == position]
    return Training(str(newest), tuple(complete))
