"""Items that are nodes of the lineage graph: datasets of other systems, runs, models, and aliases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.models import Model
from api.kernel.permissions.graph import ItemNode, item_node
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET
from api.services.ai_catalog.logic.lineage_rows import chunks
from api.services.ai_catalog.model_tables import LOGGED_MODEL
from api.services.ai_catalog.run_tables import RUN


class LineageItem(Model):
    """A run, a logged model, a registered model, or an alias that is a node of the lineage graph."""

    kind: str
    """`run`, `logged-model`, `registered-model`, or `alias`."""

    id: str
    """Id of the run, the logged model, or the registered model."""

    name: str
    """Display name. Empty if it was erased."""

    alias: str | None
    """Name of the alias. Null for other items."""

    source: str | None
    """PLATFORM or EXTERNAL, by what executed the run. Null for other items."""

    deleted: bool
    """Whether it is deleted."""


class ExternalNode(Model):
    """A dataset of another system, as lineage events name it."""

    id: str
    """Id of the external dataset."""

    namespace: str
    """Namespace of the dataset."""

    name: str
    """Name of the dataset."""


def external_datasets(connection: Connection, nodes: Iterable[str]) -> dict[str, ExternalNode]:
    """Returns the datasets of other systems among the nodes of a graph, which contains only what the caller can see."""
    rows = _rows(connection, EXTERNAL_DATASET, _items(nodes, "external"), "namespace", "name")
    return {node: ExternalNode(id=row.id, namespace=row.namespace, name=row.name) for node, row in rows.items()}


def catalog_items(connection: Connection, nodes: Iterable[str]) -> dict[str, LineageItem]:
    """Returns the runs and models among the nodes of a graph, which contains only what the caller can see."""
    nodes = list(nodes)
    found: dict[str, LineageItem] = {}
    for table, schemes, columns in (
        (RUN, ("run",), ("name", "deleted_at", "source")),
        (LOGGED_MODEL, ("logged-model",), ("name", "deleted_at")),
        (RESOURCE, ("registered-model", "alias"), ("name", "deleted_at", "spec")),
    ):
        items = _items(nodes, *schemes)
        rows = _rows(connection, table, items, *columns)
        for node, item in items.items():
            row = rows[node]._mapping if node in rows else {}
            name = row["spec"].get("title", row["name"]) if "spec" in row else row.get("name", "")
            found[node] = LineageItem(
                kind=item.scheme,
                id=item.id,
                name=name,
                alias=item.part or None,
                source=row.get("source"),
                deleted=not row or row["deleted_at"] is not None,
            )
    return found


def _items(nodes: Iterable[str], *schemes: str) -> dict[str, ItemNode]:
    return {node: item for node in nodes if (item := item_node(node)) is not None and item.scheme in schemes}


def _rows(connection: Connection, table: sa.Table, items: dict[str, ItemNode], *columns: str) -> dict[str, sa.Row[Any]]:
    by_id: dict[str, sa.Row[Any]] = {}
    for some in chunks(sorted({item.id for item in items.values()})):
        select = sa.select(table.c.id, *(table.c[name] for name in columns)).where(table.c.id.in_(some))
        by_id |= {row.id: row for row in connection.execute(select)}
    return {node: by_id[item.id] for node, item in items.items() if item.id in by_id}
