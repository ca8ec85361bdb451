"""Rows of resources. Writes include the revision and the references and run in the caller's transaction.

Reads return the stored JSON as it is. Only changes, and rows that another release wrote, go through the classes of the
kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.securable import Securable
from api.kernel.tables import REFERENCE, RESOURCE, REVISION
from core.errors import Conflict, PreconditionFailed
from core.ids import may_be_id

_JSON = ("labels", "spec", "status")
COLUMNS = tuple(
    sa.cast(column, sa.Text).label(column.name) if column.name in _JSON else column for column in RESOURCE.c
)
"""The columns to select for a `Stored`. JSON columns are selected as text."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A row. `labels`, `spec`, and `status` are JSON texts."""

    id: str
    kind: str
    organization_id: str | None
    project_id: str | None
    scope_id: str
    name: str
    owner: str
    state: str | None
    generation: int
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    deleted_at: datetime | None
    labels: str
    spec: str
    status: str
    shape: str = ""
    """Digest of the fields of the classes that wrote the row. See `StoredKind.current`."""

    @property
    def etag(self) -> str:
        """Entity tag of this version."""
        return f'"{self.version}-{self.id[-10:]}"'

    @property
    def securable(self) -> Securable:
        """The resource as a securable."""
        return Securable(self.kind, self.id, self.organization_id, self.project_id)

    def document(self) -> dict[str, Any]:
        """Returns the resource as in responses. JSON columns are included as the stored text."""
        return {
            "id": self.id,
            "kind": self.kind,
            "organization_id": self.organization_id,
            "project_id": self.project_id,
            "name": self.name,
            "labels": msgspec.Raw(self.labels.encode()),
            "owner": self.owner,
            "etag": self.etag,
            "generation": self.generation,
            "version": self.version,
            "created_at": self.created_at,
            "created_by": self.created_by,
            "updated_at": self.updated_at,
            "updated_by": self.updated_by,
            "deleted_at": self.deleted_at,
            "spec": msgspec.Raw(self.spec.encode()),
            "status": msgspec.Raw(self.status.encode()),
        }

    def encode(self) -> bytes:
        """Returns the resource as JSON."""
        return msgspec.json.encode(self.document())


class RowKey(NamedTuple):
    """The key of a lookup: a kind, and an id or the name within the scope `within`."""

    kind: str
    id: str
    within: str | None


# Built once, because building and compiling a statement costs as much as running it.
_INSERT = RESOURCE.insert()
_INSERT_REVISION = REVISION.insert()
_OF_KIND = sa.select(*COLUMNS).where(RESOURCE.c.kind == sa.bindparam("kind_key"))
_FIND = (
    _OF_KIND.where(RESOURCE.c.id == sa.bindparam("id_or_name")),
    _OF_KIND.where(
        RESOURCE.c.scope_id == sa.bindparam("within"),
        RESOURCE.c.name == sa.bindparam("id_or_name"),
        RESOURCE.c.deleted_at.is_(None),
    ),
)
_OF_IDS = sa.select(*COLUMNS).where(RESOURCE.c.id.in_(sa.bindparam("ids", expanding=True)))
_OF_NAMES = sa.select(*COLUMNS).where(
    RESOURCE.c.kind.in_(sa.bindparam("kinds", expanding=True)),
    RESOURCE.c.name.in_(sa.bindparam("names", expanding=True)),
    RESOURCE.c.deleted_at.is_(None),
)
_OF_SCOPED_NAMES = _OF_NAMES.where(RESOURCE.c.scope_id.in_(sa.bindparam("scopes", expanding=True)))
_FIND_TO_CHANGE = tuple(select.with_for_update() for select in _FIND)


def stored(row: sa.Row[*tuple[Any, ...]]) -> Stored:
    """Returns a row of a select of `COLUMNS`."""
    return Stored(*row)


def find(connection: Connection, kind: str, id: str, *, within: str | None, lock: bool = False) -> Stored | None:
    """Returns the resource with this id, deleted or not, or the live one with this name in the scope `within`.

    Returns None if there is none. `lock` prevents other transactions from changing it until this one ends.
    """
    by_id, by_name = _FIND_TO_CHANGE if lock else _FIND
    values = {"kind_key": kind, "id_or_name": id}
    queries = [(by_id, values)] if may_be_id(id) else []
    if within is not None:
        queries.append((by_name, values | {"within": within}))
    row = next((row for query, values in queries if (row := connection.execute(query, values).first())), None)
    return stored(row) if row else None


def find_all(connection: Connection, keys: Iterable[RowKey]) -> dict[RowKey, Stored]:
    """Returns the resources that `find` returns for these keys. Keys without a resource are left out."""
    keys = set(keys)
    ids = [key.id for key in keys if may_be_id(key.id)]
    by_id = {row.id: stored(row) for row in connection.execute(_OF_IDS, {"ids": ids})} if ids else {}
    matches = {key: by_id[key.id] for key in keys if key.id in by_id and by_id[key.id].kind == key.kind}
    missing = {(key.kind, key.within, key.id): key for key in keys - matches.keys() if key.within is not None}
    if missing:
        kinds, scopes, names = (list({key[part] for key in missing}) for part in (0, 1, 2))
        values = {"kinds": kinds, "scopes": scopes, "names": names}
        rows = map(stored, connection.execute(_OF_SCOPED_NAMES, values))
        matches |= {missing[key]: row for row in rows if (key := (row.kind, row.scope_id, row.name)) in missing}
    return matches


def existing_ids(connection: Connection, texts: Iterable[str]) -> set[str]:
    """Returns the texts that are ids of resources, deleted or not."""
    candidates = [text for text in set(texts) if may_be_id(text)]
    if not candidates:
        return set()
    return set(connection.execute(sa.select(RESOURCE.c.id).where(RESOURCE.c.id.in_(candidates))).scalars())


def find_named(connection: Connection, kinds: Iterable[str], names: Iterable[str]) -> list[Stored]:
    """Returns the live resources of these kinds with one of these names, ordered by id."""
    values = {"kinds": sorted(set(kinds)), "names": sorted(set(names))}
    return sorted(map(stored, connection.execute(_OF_NAMES, values)), key=lambda row: row.id)


def find_any(connection: Connection, id: str) -> Stored | None:
    """Returns the resource of any kind with this id, deleted or not, or None."""
    row = connection.execute(sa.select(*COLUMNS).where(RESOURCE.c.id == id)).first()
    return stored(row) if row else None


def insert(connection: Connection, row: Stored, *, action: str, request_id: str) -> None:
    """Stores a new resource.

    Raises:
        Conflict: another live resource has the name.
    """
    try:
        connection.execute(_INSERT, _values(row))
    except sa.exc.IntegrityError as error:
        raise name_taken(row) from error
    _revise(connection, None, row, action=action, request_id=request_id)


def replace_row(connection: Connection, before: Stored, after: Stored, *, action: str, request_id: str) -> Stored:
    """Writes a new version of a resource and returns it. Writes nothing if nothing changed.

    Raises:
        Conflict: another live resource has the new name.
        PreconditionFailed: another request changed the resource since it was read.
    """
    same: dict[str, Any] = {"updated_at": before.updated_at, "updated_by": before.updated_by}
    # Equal documents can differ as text, because databases normalize spaces and the order of keys.
    same |= {
        name: getattr(before, name) for name in _JSON if _parsed(getattr(after, name)) == _parsed(getattr(before, name))
    }
    if replace(after, **same) == before:
        return before
    generation = before.generation + (_parsed(after.spec) != _parsed(before.spec))
    after = replace(after, version=before.version + 1, generation=generation)
    update = RESOURCE.update().where(RESOURCE.c.id == before.id, RESOURCE.c.version == before.version)
    try:
        changed = connection.execute(update.values(**_values(after)))
    except sa.exc.IntegrityError as error:
        raise name_taken(after) from error
    if not changed.rowcount:
        raise PreconditionFailed(f"Another request changed {before.name} at the same time. Read it again.")
    _revise(connection, before, after, action=action, request_id=request_id)
    return after


def erase(connection: Connection, ids: Sequence[str]) -> None:
    """Removes resources with their revisions and references permanently."""
    connection.execute(REVISION.delete().where(REVISION.c.resource_id.in_(ids)))
    connection.execute(REFERENCE.delete().where(sa.or_(REFERENCE.c.from_id.in_(ids), REFERENCE.c.to_id.in_(ids))))
    connection.execute(RESOURCE.delete().where(RESOURCE.c.id.in_(ids)))


def refer(connection: Connection, row: Stored, targets: Iterable[tuple[str, str]]) -> None:
    """Replaces the references of a resource. Each target is a field and an id."""
    if row.version > 1:
        connection.execute(REFERENCE.delete().where(REFERENCE.c.from_id == row.id))
    rows = [{"from_id": row.id, "from_kind": row.kind, "field": field, "to_id": id} for field, id in targets]
    if rows:
        connection.execute(REFERENCE.insert(), rows)


def referring(connection: Connection, id: str) -> list[tuple[Stored, str]]:
    """Returns the live resources that refer to this one, each with the field."""
    select = (
        sa.select(*COLUMNS, REFERENCE.c.field)
        .join(REFERENCE, REFERENCE.c.from_id == RESOURCE.c.id)
        .where(REFERENCE.c.to_id == id, RESOURCE.c.deleted_at.is_(None))
    )
    return [(Stored(*row[: len(COLUMNS)]), row.field) for row in connection.execute(select)]


def changes(before: Stored | None, after: Stored) -> list[dict[str, Any]]:
    """Returns the fields that differ, with their JSON pointers and values."""
    differences: list[dict[str, Any]] = []
    _compare("", _content(before) if before else {}, _content(after), differences)
    return differences


def name_taken(row: Stored) -> Conflict:
    """Returns the error for a name that another live resource in the same scope has."""
    kind = row.kind.rpartition(".")[2].replace("_", " ")
    return Conflict(f"Another {kind} has the name {row.name!r}. Choose another name, or delete that {kind} first.")


def _revise(connection: Connection, before: Stored | None, after: Stored, *, action: str, request_id: str) -> None:
    revision = {
        "resource_id": after.id,
        "version": after.version,
        "at": after.updated_at,
        "by": after.updated_by,
        "action": action,
        "request_id": request_id,
        "changes": changes(before, after),
        "content": _content(after),
    }
    connection.execute(_INSERT_REVISION, revision)


def _content(row: Stored) -> dict[str, Any]:
    deleted_at = row.deleted_at.isoformat() if row.deleted_at else None
    plain = {name: getattr(row, name) for name in ("name", "owner", "organization_id", "project_id")}
    return {**plain, "deleted_at": deleted_at, **{name: _parsed(getattr(row, name)) for name in _JSON}}


def _compare(pointer: str, before: Any, after: Any, differences: list[dict[str, Any]]) -> None:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            field = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            _compare(field, before.get(key), after.get(key), differences)
    elif before != after:
        differences.append({"pointer": pointer, "before": before, "after": after})


def _values(row: Stored) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__slots__}
    return values | {name: _parsed(values[name]) for name in _JSON}


def _parsed(text: str) -> Any:
    return msgspec.json.decode(text)
