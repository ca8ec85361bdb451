"""Documents: what the search index holds of an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.kinds.table_kind import TableKind
from api.kernel.permissions.access import Access
from api.kernel.platform import Platform
from api.kernel.tables import RESOURCE

_MAX_CHARACTERS = 20_000
"""Characters of a description that are indexed."""


@dataclass(frozen=True, slots=True)
class Document:
    """An item as the search index holds it."""

    kind: str
    """Full name of the kind."""

    id: str
    scope: str
    """Id of the project or organization that the item belongs to, or `asset_scope` of its project."""

    name: str
    title: str = ""
    description: str = ""
    words: tuple[str, ...] = ()
    """Further texts that find the item, such as the columns of a table."""

    labels: tuple[str, ...] = ()
    """Labels and tags as `key=value`."""

    owner: str = ""
    version: str = ""
    """Version of the item that the document describes. Only the source that made the document interprets it."""

    @property
    def key(self) -> str:
        """The identity of the document. Items of two kinds can have the same id."""
        return key_of(self.kind, self.id)


_ASSET_SCOPE = "asset:"


def asset_scope(project: str) -> str:
    """Returns the scope of the assets of a project. Their ids contain its name, and it need not be registered."""
    return f"{_ASSET_SCOPE}{project}"


def project_of(scope: str) -> str | None:
    """Returns the name of the project that `asset_scope` was made from, or None for another scope."""
    return scope.removeprefix(_ASSET_SCOPE) if scope.startswith(_ASSET_SCOPE) else None


def key_of(kind: str, id: str) -> str:
    """Returns the identity of the document of an item."""
    return f"{kind}:{id}"


class Source(Protocol):
    """The items of one kind in the metadata database, as documents."""

    @property
    def kind(self) -> str:
        """Full name of the kind."""

    @property
    def permission(self) -> str:
        """The permission to see an item."""

    by_item: bool
    """Whether a grant can be on a single item."""

    by_condition: bool
    """Whether the condition of a grant can depend on the fields of an item."""

    in_asset_scopes: bool
    """Whether the scopes of items are those of assets (`asset_scope`)."""

    def ids(self, connection: Connection, after: str, limit: int) -> Sequence[str]:
        """Returns the next ids after this one, in their order."""

    def children(self, connection: Connection, parents: Sequence[str]) -> Sequence[str]:
        """Returns the ids of the items that are deleted and restored with these."""

    def documents(self, connection: Connection, ids: Sequence[str]) -> Iterator[Document]:
        """Returns the documents of these items. Items that are deleted have none."""

    def visible(
        self, platform: Platform, connection: Connection, access: Access, ids: Iterable[str] | None = None
    ) -> set[str]:
        """Returns those of these items, or of all items, that exist and that a caller can see."""


class ResourceSource:
    """The resources of a stored kind."""

    by_item = True
    by_condition = True
    in_asset_scopes = False

    def __init__(self, kind: StoredKind[Any]) -> None:
        self.kind = kind.full_name
        self.permission = kind.permission("get")
        self._live = sa.and_(RESOURCE.c.kind == self.kind, RESOURCE.c.deleted_at.is_(None))

    def ids(self, connection: Connection, after: str, limit: int) -> Sequence[str]:
        """Returns the next ids after this one, in their order."""
        select = sa.select(RESOURCE.c.id).where(self._live, RESOURCE.c.id > after).order_by(RESOURCE.c.id).limit(limit)
        return connection.execute(select).scalars().all()

    def children(self, connection: Connection, parents: Sequence[str]) -> Sequence[str]:
        """Returns no ids: a resource is deleted alone."""
        return ()

    def documents(self, connection: Connection, ids: Sequence[str]) -> Iterator[Document]:
        """Returns the documents of these resources."""
        for row in connection.execute(sa.select(RESOURCE).where(self._live, RESOURCE.c.id.in_(ids))):
            spec: Mapping[str, Any] = row.spec
            tags = spec.get("tags")
            labels = {**row.labels, **(tags if isinstance(tags, dict) else {})}
            yield Document(
                kind=self.kind,
                id=row.id,
                scope=row.project_id or row.organization_id or "",
                name=row.name,
                title=str(spec.get("title") or ""),
                description=str(spec.get("description") or spec.get("definition") or "")[:_MAX_CHARACTERS],
                words=tuple(spec.get("synonyms") or ()),
                labels=_labels(labels),
                owner=row.owner,
            )

    def visible(
        self, platform: Platform, connection: Connection, access: Access, ids: Iterable[str] | None = None
    ) -> set[str]:
        """Returns those of these resources, or of all, that exist and that a caller can see."""
        select = sa.select(RESOURCE.c.id).where(self._live, access.where(self.permission))
        if ids is not None:
            select = select.where(RESOURCE.c.id.in_(list(ids)))
        return set(connection.execute(select).scalars())


@dataclass(frozen=True)
class TableSource:
    """The rows of a kind over a separate table, which belong to projects."""

    table_kind: TableKind[Any]
    name: Callable[[Connection, Sequence[str]], Mapping[str, str]] | str
    """Column with the name, or a function that returns the names of rows by id."""

    owner: str = ""
    """Column with the id of the principal who owns the row."""

    description: str = ""
    """Column with the description."""

    tags: Callable[[Connection, Sequence[str]], Mapping[str, Mapping[str, str]]] | str = ""
    """Column with the tags, or a function that returns the tags of rows by id."""

    parents: tuple[str, ...] = ()
    """Columns with the ids of items that a row is deleted and restored with."""

    by_item = False
    by_condition = False
    in_asset_scopes = False

    @property
    def kind(self) -> str:
        """Full name of the kind."""
        return self.table_kind.full_name

    @property
    def permission(self) -> str:
        """The permission to see a row."""
        return self.table_kind.permission("get")

    def ids(self, connection: Connection, after: str, limit: int) -> Sequence[str]:
        """Returns the next ids after this one, in their order."""
        id = self.table_kind.table.c.id
        select = sa.select(id).where(self.table_kind.present(), id > after).order_by(id).limit(limit)
        return connection.execute(select).scalars().all()

    def children(self, connection: Connection, parents: Sequence[str]) -> Sequence[str]:
        """Returns the ids of the rows that are deleted and restored with these items."""
        columns = self.table_kind.table.c
        if not self.parents or not parents:
            return ()
        either = sa.or_(*(columns[name].in_(parents) for name in self.parents))
        return connection.execute(sa.select(columns.id).where(either)).scalars().all()

    def documents(self, connection: Connection, ids: Sequence[str]) -> Iterator[Document]:
        """Returns the documents of these rows."""
        table = self.table_kind.table
        rows = connection.execute(sa.select(table).where(self.table_kind.present(), table.c.id.in_(ids))).all()
        found = [row.id for row in rows]
        tags = self.tags(connection, found) if callable(self.tags) else {}
        names = self.name(connection, found) if callable(self.name) else {}
        for row in rows:
            values = row._mapping
            labels = values[self.tags] if isinstance(self.tags, str) and self.tags else tags.get(row.id, {})
            yield Document(
                kind=self.kind,
                id=row.id,
                scope=row.project_id,
                name=str(values[self.name]) if isinstance(self.name, str) else names.get(row.id, ""),
                description=str(values[self.description])[:_MAX_CHARACTERS] if self.description else "",
                labels=_labels(labels),
                owner=str(values[self.owner]) if self.owner else "",
            )

    def visible(
        self, platform: Platform, connection: Connection, access: Access, ids: Iterable[str] | None = None
    ) -> set[str]:
        """Returns those of these rows, or of all, that exist and that a caller can see."""
        table = self.table_kind.table
        granted = access.where(self.permission, table, id=table.c.organization_id)
        select = sa.select(table.c.id).where(self.table_kind.present(), granted)
        if ids is not None:
            select = select.where(table.c.id.in_(list(ids)))
        return set(connection.execute(select).scalars())


def _labels(labels: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name}={value}"[:500] for name, value in sorted(labels.items()))
