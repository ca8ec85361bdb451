"""The items of the catalog that search finds, as documents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.kinds.table_kind import TableKind
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import ASSET, READ_ASSET, asset_securable
from api.kernel.platform import Platform, open_tables
from api.kernel.search.document import Document, ResourceSource, Source, TableSource, asset_scope
from api.kernel.search.feed import SearchFeed
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.logic import stated_facts
from api.services.ai_catalog.logic.stated_facts import Facts, StatedFacts
from api.services.ai_catalog.model_tables import MODEL_VERSION
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION
from api.services.ai_catalog.run_tables import RUN_TAG
from core.definitions import DEFINITION
from core.errors import HeadwaterError
from core.ports import AssetNode, GraphView

ASSET_KINDS: Mapping[str, str] = {ASSET: READ_ASSET}
"""The kinds of assets that are searched, each with the permission to see one."""

_MAX_SCHEMAS = 200
"""Tables whose columns are read in one round, so that the first round on a large graph ends soon."""


class Assets:
    """The assets of the graph. Their columns come from the newest version of their tables."""

    kind = ASSET
    described_by: tuple[str, ...] = stated_facts.KINDS

    def __init__(self) -> None:
        self._versions: dict[str, tuple[AssetNode, str, Facts | None, str]] = {}
        self._facts = StatedFacts()

    def current(self, platform: Platform, view: GraphView, versions: dict[str, str]) -> Iterator[Document]:
        """Returns the documents of the assets whose version differs from these."""
        read, stated = 0, self._facts.current(platform)
        for id, node in view.nodes.items():
            state = view.states.get(id)
            data_version = state.materialization.data_version if state and state.materialization else None
            facts = stated.get(id)
            version = self._version(node, data_version or "", facts)
            if versions.get(id) == version:
                continue
            columns: tuple[str, ...] = ()
            if data_version and read < _MAX_SCHEMAS:
                columns, read = _columns(platform, id), read + 1
            elif data_version:
                version = ""  # a later round reads them
            yield Document(
                kind=ASSET,
                id=id,
                scope=asset_scope(id.partition(".")[0]),
                name=id,
                title=facts.title if facts else "",
                description="\n".join(filter(None, (node.description, facts.description if facts else ""))),
                words=(node.group, *node.kinds, *columns, *sorted(facts.words if facts else ())),
                labels=(*(f"kind={kind}" for kind in node.kinds), *sorted(facts.labels if facts else ())),
                owner=node.owners[0] if node.owners else "",
                version=version,
            )

    def _version(self, node: AssetNode, data_version: str, facts: Facts | None) -> str:
        known = self._versions.get(node.id)
        if known and known[0] is node and known[1] == data_version and known[2] is facts:
            return known[3]
        described = repr((data_version, node.description, node.group, node.kinds, node.owners, facts))
        version = hashlib.sha256(described.encode()).hexdigest()[:16]
        self._versions[node.id] = (node, data_version, facts, version)
        return version


class Definitions:
    """The definitions that users wrote and did not retire."""

    kind = "ai_catalog.definition"
    permission = "ai_catalog.definition.get"
    by_item = True
    by_condition = False
    in_asset_scopes = True

    def ids(self, connection: Connection, after: str, limit: int) -> Sequence[str]:
        """Returns the next ids after this one, in their order."""
        id = DEFINITION.c.asset_id
        return connection.execute(sa.select(id).where(id > after).order_by(id).limit(limit)).scalars().all()

    def children(self, connection: Connection, parents: Sequence[str]) -> Sequence[str]:
        """Returns no ids: a definition is deleted alone."""
        return ()

    def documents(self, connection: Connection, ids: Sequence[str]) -> Iterator[Document]:
        """Returns the documents of these definitions."""
        columns = DEFINITION.c
        for row in connection.execute(
            sa.select(columns.asset_id, columns.component, columns.attributes).where(
                columns.asset_id.in_(ids), columns.retired_at.is_(None)
            )
        ):
            yield Document(
                kind=self.kind,
                id=row.asset_id,
                scope=asset_scope(row.asset_id.partition(".")[0]),
                name=row.asset_id,
                description=str(row.attributes.get("description") or ""),
                words=(row.component,),
                labels=(f"component={row.component}",),
            )

    def visible(
        self, platform: Platform, connection: Connection, access: Access, ids: Iterable[str] | None = None
    ) -> set[str]:
        """Returns those of these definitions, or of all, that exist and that a caller can see."""
        select = sa.select(DEFINITION.c.asset_id).where(DEFINITION.c.retired_at.is_(None))
        if ids is not None:
            select = select.where(DEFINITION.c.asset_id.in_(list(ids)))
        found = connection.execute(select).scalars()
        return {id for id in found if access.allows(self.permission, asset_securable(platform, id, self.kind))}


def open_feed(platform: Platform) -> SearchFeed:
    """Returns the feed of the search index of the process."""
    return SearchFeed(platform, lambda: _sources(platform), [Assets()])


def _sources(platform: Platform) -> list[Source]:
    """Returns the searched kinds of the catalog: all resources, and the tables that `_TABLES` names."""
    found: list[Source] = [Definitions()]
    for name, kind in platform.part(Kinds).items():
        if not name.startswith("ai_catalog."):
            continue
        if isinstance(kind, StoredKind):
            found.append(ResourceSource(kind))
        elif isinstance(kind, TableKind) and kind.name in _TABLES:
            found.append(TableSource(kind, **_TABLES[kind.name]))
    return found


def _run_tags(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    tags: dict[str, dict[str, str]] = {}
    select = sa.select(RUN_TAG.c.run_id, RUN_TAG.c.key, RUN_TAG.c.value).where(RUN_TAG.c.run_id.in_(ids))
    for id, key, value in connection.execute(select):
        tags.setdefault(id, {})[key] = value
    return tags


def _version_names(connection: Connection, ids: Sequence[str], *, table: sa.Table, parent: str) -> dict[str, str]:
    """Returns the names of versions: the title of their parent, with their number."""
    select = (
        sa.select(table.c.id, table.c.version, RESOURCE.c.spec["title"].as_string())
        .join(RESOURCE, RESOURCE.c.id == table.c[parent])
        .where(table.c.id.in_(ids))
    )
    return {id: f"{title} version {number}" for id, number, title in connection.execute(select)}


_TABLES: dict[str, dict[str, Any]] = {
    "run": {"name": "name", "tags": _run_tags, "parents": ("experiment_id",)},
    "logged_model": {"name": "name", "tags": "tags", "parents": ("experiment_id",)},
    "model_version": {
        "name": partial(_version_names, table=MODEL_VERSION, parent="registered_model_id"),
        "description": "description",
        "tags": "tags",
        "parents": ("registered_model_id",),
    },
    "prompt_version": {
        "name": partial(_version_names, table=PROMPT_VERSION, parent="prompt_id"),
        "description": "description",
        "tags": "tags",
        "parents": ("prompt_id",),
    },
    "external_dataset": {"name": "name", "description": "namespace"},
}
"""Searched kinds over separate tables, with the columns of their texts."""


def _columns(platform: Platform, asset: str) -> tuple[str, ...]:
    try:
        return tuple(platform.part(open_tables).snapshot(asset).schema.names)
    except HeadwaterError:  # removed or damaged: search finds the asset by its other texts
        return ()
