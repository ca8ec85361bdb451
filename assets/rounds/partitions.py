"""How a federation's table is sliced: one SQL predicate per client, and no row in two slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from federated.spec import Client, Federation

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot


def clients(slices: Mapping[str, str], table: str) -> tuple[Client, ...]:
    """One client per name, in the order of declaration."""
    return tuple(Client(name, table, where) for name, where in slices.items())


def columns(federation: Federation) -> list[str]:
    """Columns that the clients read: features, target, and whatever the predicates look at."""
    from federated.clients import predicate

    wheres = [client.where for client in federation.clients]
    looked_at = [predicate(where) for where in [*wheres, federation.train_where, federation.holdout_where]]
    names = [name for expression in looked_at for name in expression.meta.root_names()]
    return list(dict.fromkeys([*federation.features, federation.target, *names]))


def overlap(snapshot: Snapshot, federation: Federation) -> int:
    """Rows that more than one client claims, plus rows that a client both trains on and is judged by."""
    from federated.clients import reused_rows, shared_rows

    return shared_rows({snapshot.table: snapshot}, federation) + reused_rows({snapshot.table: snapshot}, federation)
