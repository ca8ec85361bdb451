"""What a client sees: its own rows of one table version, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from core.errors import InvalidArgument, SchemaMismatch, UnknownColumn
from federated.model import Examples
from federated.spec import Client, Federation

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.tables import Snapshot


class Source(Protocol):
    """Where the rows of one client come from."""

    def train(self) -> Examples:
        """Rows to learn from, unscaled, missing features as NaN."""

    def holdout(self) -> Examples:
        """Rows to judge the global model by."""


class TableSource:
    """The rows of one snapshot that satisfy one client's predicate, read when first asked for and kept."""

    def __init__(self, snapshot: Snapshot, client: Client, federation: Federation) -> None:
        self._snapshot = snapshot
        self._client = client
        self._federation = federation
        self._kept: dict[str, Examples] = {}

    def train(self) -> Examples:
        """Rows of the client that also satisfy `train_where`."""
        return self._read(self._federation.train_where)

    def holdout(self) -> Examples:
        """Rows of the client that also satisfy `holdout_where`."""
        return self._read(self._federation.holdout_where)

    def _read(self, where: str) -> Examples:
        if where not in self._kept:
            self._kept[where] = self._collect(where)
        return self._kept[where]

    def _collect(self, where: str) -> Examples:
        features, target = self._federation.features, self._federation.target
        mine = predicate(self._client.where) & predicate(where) & pl.col(target).is_not_null()
        frame = (
            self._snapshot.scan()
            .filter(mine)
            .select(*(pl.col(name).cast(pl.Float64) for name in features), pl.col(target).cast(pl.Float64))
            .collect()
        )
        # Row order is not a property of a Delta table; sorting makes the sums, and so the weights, repeatable.
        frame = frame.sort(*features, target)
        x = frame.select(features).fill_null(np.nan).to_numpy()
        return Examples(np.ascontiguousarray(x, dtype=np.float64), frame[target].to_numpy().astype(np.float64))


def predicate(where: str) -> pl.Expr:
    """Compiles a SQL predicate over the columns of one row.

    Raises:
        InvalidArgument: it is not an expression.
    """
    try:
        return pl.sql_expr(where)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise InvalidArgument(f"{where!r} is not a SQL predicate: {error}") from error


def table_sources(snapshots: Mapping[str, Snapshot], federation: Federation) -> list[TableSource]:
    """One source per client, in the order of the federation. `snapshots` are the pinned versions by table name.

    Raises:
        UnknownColumn: a feature or the target is missing; the detail lists what the table has.
        SchemaMismatch: a feature is not numeric, or the target not boolean.
    """
    for table in dict.fromkeys(client.table for client in federation.clients):
        _demand_columns(table, snapshots[table].schema, federation)
    return [TableSource(snapshots[client.table], client, federation) for client in federation.clients]


def _demand_columns(table: str, schema: pa.Schema, federation: Federation) -> None:
    import pyarrow.types as kinds

    if missing := [name for name in (*federation.features, federation.target) if name not in schema.names]:
        raise UnknownColumn(f"{table} has no column {', '.join(missing)}. It has: {', '.join(sorted(schema.names))}.")
    numeric = (kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_boolean)
    for name in federation.features:
        if not any(fits(schema.field(name).type) for fits in numeric):
            raise SchemaMismatch(f"Feature {name} of {table} is {schema.field(name).type}; a feature must be numeric.")
    if not kinds.is_boolean(target := schema.field(federation.target).type):
        raise SchemaMismatch(f"Target {federation.target} of {table} is {target}; a target must be boolean.")


def shared_rows(snapshots: Mapping[str, Snapshot], federation: Federation) -> int:
    """Counts rows that more than one client's predicate claims; 0 means that the clients are apart."""
    shared = 0
    for table, snapshot in snapshots.items():
        claims = [predicate(client.where) for client in federation.clients if client.table == table]
        owners = pl.sum_horizontal(claim.cast(pl.Int32).fill_null(0) for claim in claims)
        shared += int(snapshot.scan().select((owners > 1).sum()).collect().item())
    return shared


def reused_rows(snapshots: Mapping[str, Snapshot], federation: Federation) -> int:
    """Counts rows that a client both trains on and is judged by; more than 0 flatters the model."""
    both = predicate(federation.train_where) & predicate(federation.holdout_where)
    reused = 0
    for client in federation.clients:
        mine = predicate(client.where) & both
        reused += int(snapshots[client.table].scan().filter(mine).select(pl.len()).collect().item())
    return reused
