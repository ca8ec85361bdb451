"""Partitions of the table of a federation: one SQL predicate per client, and no row in two partitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from federated.spec import Client, Federation

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot


def clients(predicates: Mapping[str, str], table: str) -> tuple[Client, ...]:
    """Returns one client per name, in the order of declaration."""
    return tuple(Client(name, table, where) for name, where in predicates.items())


def columns(federation: Federation) -> list[str]:
    """Returns the columns that the clients read: features, target, and the columns of the predicates."""
    from federated.clients import predicate

    texts = [*(client.where for client in federation.clients), federation.train_where, federation.holdout_where]
    names = [name for text in texts for name in predicate(text).meta.root_names()]
    return list(dict.fromkeys([*federation.features, federation.target, *names]))


def overlap(snapshot: Snapshot, federation: Federation) -> int:
    """Returns the number of rows that belong to several clients or to both training and evaluation of a client."""
    from federated.clients import reused_rows, shared_rows

    return shared_rows({snapshot.table: snapshot}, federation) + reused_rows({snapshot.table: snapshot}, federation)
