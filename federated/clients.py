"""The rows that a client can read: its own rows of one table version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from core.errors import InvalidArgument, SchemaMismatch, UnknownColumn
from federated.model import Examples
from federated.spec import Client, Federation
from lakehouse.expressions import require_condition

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.tables import Snapshot


class Source(Protocol):
    """The source of one client's rows."""

    def train(self) -> Examples:
        """Returns the rows to train on: unscaled, with missing features as NaN."""

    def holdout(self) -> Examples:
        """Returns the rows to evaluate the global model on."""


class TableSource:
    """The rows of a snapshot that match a client's predicate. Read on first use, then cached."""

    def __init__(self, snapshot: Snapshot, client: Client, federation: Federation) -> None:
        self._snapshot = snapshot
        self._client = client
        self._federation = federation
        self._cache: dict[str, Examples] = {}

    def train(self) -> Examples:
        """Returns the rows of the client that also match `train_where`."""
        return self._read(self._federation.train_where)

    def holdout(self) -> Examples:
        """Returns the rows of the client that also match `holdout_where`."""
        return self._read(self._federation.holdout_where)

    def _read(self, where: str) -> Examples:
        if where not in self._cache:
            self._cache[where] = self._collect(where)
        return self._cache[where]

    def _collect(self, where: str) -> Examples:
        features, target = self._federation.features, self._federation.target
        condition = predicate(self._client.where) & predicate(where) & pl.col(target).is_not_null()
        frame = (
            self._snapshot.scan()
            .filter(condition)
            .select(*(pl.col(name).cast(pl.Float64) for name in features), pl.col(target).cast(pl.Float64))
            .collect()
        )
        # A Delta table has no row order. Sorting makes the sums, and therefore the weights, reproducible.
        frame = frame.sort(*features, target)
        x = frame.select(features).fill_null(np.nan).to_numpy()
        return Examples(np.ascontiguousarray(x, dtype=np.float64), frame[target].to_numpy().astype(np.float64))


def predicate(where: str) -> pl.Expr:
    """Compiles a SQL predicate over the columns of one row.

    Raises:
        InvalidArgument: the text isn't a SQL expression.
    """
    from lakehouse.expressions import row_expression

    if not isinstance(where, str):
        raise InvalidArgument(f"{where!r} is not a SQL predicate.")
    try:
        return row_expression(where)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where!r} is not a SQL predicate: {error.detail}") from error


def table_sources(snapshots: Mapping[str, Snapshot], federation: Federation) -> list[TableSource]:
    """Returns one source per client, in the order of the federation. `snapshots` are the pinned versions by table name.

    Raises:
        UnknownColumn: a feature or the target is missing. The message lists the columns of the table.
        SchemaMismatch: a feature isn't numeric, the target isn't boolean, or a predicate isn't a condition.
    """
    for table in dict.fromkeys(client.table for client in federation.clients):
        _require_columns(table, snapshots[table].schema, federation)
    return [TableSource(snapshots[client.table], client, federation) for client in federation.clients]


def _require_columns(table: str, schema: pa.Schema, federation: Federation) -> None:
    if missing := [name for name in (*federation.features, federation.target) if name not in schema.names]:
        raise UnknownColumn(f"{table} has no column {', '.join(missing)}. Columns: {', '.join(sorted(schema.names))}.")
    for name in federation.features:
        require_feature(table, schema.field(name))
    require_target(table, schema.field(federation.target))
    rows = pl.DataFrame(schema.empty_table())
    slices = [client.where for client in federation.clients if client.table == table]
    for where in (*slices, federation.train_where, federation.holdout_where):
        require_condition(where, rows)


def require_feature(table: str, field: pa.Field) -> None:
    """Checks that a column can be a feature.

    Raises:
        SchemaMismatch: it is not numeric.
    """
    import pyarrow.types as kinds

    numeric = (kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_boolean)
    if not any(fits(field.type) for fits in numeric):
        raise SchemaMismatch(f"Feature {field.name} of {table} is {field.type}. Features must be numeric.")


def require_target(table: str, field: pa.Field) -> None:
    """Checks that a column can be the target.

    Raises:
        SchemaMismatch: it is not boolean.
    """
    import pyarrow.types as kinds

    if not kinds.is_boolean(field.type):
        raise SchemaMismatch(f"Target {field.name} of {table} is {field.type}. The target must be boolean.")


def shared_rows(snapshots: Mapping[str, Snapshot], federation: Federation) -> int:
    """Counts rows that match the predicates of several clients. 0 means that the clients are disjoint."""
    shared = 0
    for table, snapshot in snapshots.items():
        matches = [predicate(client.where) for client in federation.clients if client.table == table]
        owners = pl.sum_horizontal(match.cast(pl.Int32).fill_null(0) for match in matches)
        shared += int(snapshot.scan().select((owners > 1).sum()).collect().item())
    return shared


def reused_rows(snapshots: Mapping[str, Snapshot], federation: Federation) -> int:
    """Counts rows that a client both trains and evaluates on. If there are any, the evaluation is too optimistic."""
    both = predicate(federation.train_where) & predicate(federation.holdout_where)
    reused = 0
    for client in federation.clients:
        condition = predicate(client.where) & both
        reused += int(snapshots[client.table].scan().filter(condition).select(pl.len()).collect().item())
    return reused
