"""Rows of resources: written whole, with their revision and their references, in the caller's transaction.

Reads hand out the stored JSON as it is. Only a change goes through the author's classes, and what classes with other
fields have written.
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
"""What to select for a `Stored`: documents come as text."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One row. `labels`, `spec` and `status` are JSON texts."""

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
    """Which fields the classes had that wrote it: see `ResourceKind.current`."""

    @property
    def etag(self) -> str:
        """The entity tag of this version."""
        return f'"{self.version}-{self.id[-10:]}"'

    @property
    def securable(self) -> Securable:
        """Its place in the tree of scopes."""
        return Securable(self.kind, self.id, self.organization_id, self.project_id)

    def document(self) -> dict[str, Any]:
        """The resource as it crosses the wire; the documents in it stay the texts they are stored as."""
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
        """The resource as JSON."""
        return msgspec.json.encode(self.document())


class Wanted(NamedTuple):
    """What is looked for: a kind's resource with this id, or with this name if it is `named`."""

    kind: str
    id: str
    named: bool


# Made once: to build and compile a statement costs as much as to run it.
_INSERT = RESOURCE.insert()
_INSERT_REVISION = REVISION.insert()
_OF_KIND = sa.select(*COLUMNS).where(RESOURCE.c.kind == sa.bindparam("wanted_kind"))
_FIND = (
    _OF_KIND.where(RESOURCE.c.id == sa.bindparam("wanted")),
    _OF_KIND.where(RESOURCE.c.name == sa.bindparam("wanted"), RESOURCE.c.deleted_at.is_(None)),
)
_OF_IDS = sa.select(*COLUMNS).where(RESOURCE.c.id.in_(sa.bindparam("ids", expanding=True)))
_OF_NAMES = sa.select(*COLUMNS).where(
    RESOURCE.c.kind.in_(sa.bindparam("kinds", expanding=True)),
    RESOURCE.c.name.in_(sa.bindparam("names", expanding=True)),
    RESOURCE.c.deleted_at.is_(None),
)
_FIND_TO_CHANGE = tuple(select.with_for_update() for select in _FIND)


def stored(row: sa.Row[*tuple[Any, ...]]) -> Stored:
    """The row of a select of `COLUMNS`."""
    return Stored(*row)


def find(connection: Connection, kind: str, id: str, *, named: bool, lock: bool = False) -> Stored | None:
    """The resource with this id, or with this name if it is `named`, deleted or not; None if there is none.

    A deleted one is found by its id only. `lock` keeps other transactions from changing it until this one ends.
    """
    by_id, by_name = _FIND_TO_CHANGE if lock else _FIND
    wanted = {"wanted_kind": kind, "wanted": id}
    looks = ((by_id,) if may_be_id(id) else ()) + ((by_name,) if named else ())
    row = next((row for look in looks if (row := connection.execute(look, wanted).first())), None)
    return stored(row) if row else None


def find_all(connection: Connection, wanted: Iterable[Wanted]) -> dict[Wanted, Stored]:
    """The resources that `find` finds for each of these; what is not there is left out."""
    wanted = set(wanted)
    ids = [one.id for one in wanted if may_be_id(one.id)]
    by_id = {row.id: stored(row) for row in connection.execute(_OF_IDS, {"ids": ids})} if ids else {}
    found = {one: by_id[one.id] for one in wanted if one.id in by_id and by_id[one.id].kind == one.kind}
    missing = {(one.kind, one.id): one for one in wanted - found.keys() if one.named}
    if missing:
        kinds, names = (list({key[part] for key in missing}) for part in (0, 1))
        rows = map(stored, connection.execute(_OF_NAMES, {"kinds": kinds, "names": names}))
        found |= {missing[row.kind, row.name]: row for row in rows if (row.kind, row.name) in missing}
    return found


def find_any(connection: Connection, id: str) -> Stored | None:
    """The resource of whatever kind with this id."""
    row = connection.execute(sa.select(*COLUMNS).where(RESOURCE.c.id == id)).first()
    return stored(row) if row else None


def insert(connection: Connection, row: Stored, *, action: str, request_id: str) -> None:
    """Stores a new resource.

    Raises:
        Conflict: its name is taken.
    """
    try:
        connection.execute(_INSERT, _values(row))
    except sa.exc.IntegrityError as error:
        raise name_taken(row) from error
    _revise(connection, None, row, action=action, request_id=request_id)


def replace_row(connection: Connection, before: Stored, after: Stored, *, action: str, request_id: str) -> Stored:
    """Writes a new version of a resource and returns it; nothing is written if nothing differs.

    Raises:
        Conflict: the new name is taken.
        PreconditionFailed: somebody else changed it since it was read.
    """
    same: dict[str, Any] = {"updated_at": before.updated_at, "updated_by": before.updated_by}
    # The same document may be written in two ways: databases store JSON with spaces and orders of their own.
    same |= {
        name: getattr(before, name) for name in _JSON if _parsed(getattr(after, name)) == _parsed(getattr(before, name))
    }
    if replace(after, **same) == before:
        return before
    generation = before.generation + (_parsed(after.spec) != _parsed(before.spec))
    after = replace(after, version=before.version + 1, generation=generation)
    ours = RESOURCE.update().where(RESOURCE.c.id == before.id, RESOURCE.c.version == before.version)
    try:
        changed = connection.execute(ours.values(**_values(after)))
    except sa.exc.IntegrityError as error:
        raise name_taken(after) from error
    if not changed.rowcount:
        raise PreconditionFailed(f"{before.name} was changed by somebody else at the same moment. Read it again.")
    _revise(connection, before, after, action=action, request_id=request_id)
    return after


def erase(connection: Connection, ids: Sequence[str]) -> None:
    """Removes resources with their revisions and references for good."""
    connection.execute(REVISION.delete().where(REVISION.c.resource_id.in_(ids)))
    connection.execute(REFERENCE.delete().where(sa.or_(REFERENCE.c.from_id.in_(ids), REFERENCE.c.to_id.in_(ids))))
    connection.execute(RESOURCE.delete().where(RESOURCE.c.id.in_(ids)))


def refer(connection: Connection, row: Stored, targets: Iterable[tuple[str, str, str]]) -> None:
    """Replaces the edges of a resource by these: field, id of the target, policy."""
    if row.version > 1:
        connection.execute(REFERENCE.delete().where(REFERENCE.c.from_id == row.id))
    rows = [
        {"from_id": row.id, "from_kind": row.kind, "field": field, "to_id": id, "policy": policy}
        for field, id, policy in targets
    ]
    if rows:
        connection.execute(REFERENCE.insert(), rows)


def referring(connection: Connection, id: str) -> list[tuple[Stored, str, str]]:
    """Live resources that refer to this one, each with the field and its policy."""
    select = (
        sa.select(*COLUMNS, REFERENCE.c.field, REFERENCE.c.policy)
        .join(REFERENCE, REFERENCE.c.from_id == RESOURCE.c.id)
        .where(REFERENCE.c.to_id == id, RESOURCE.c.deleted_at.is_(None))
    )
    return [(Stored(*row[: len(COLUMNS)]), row.field, row.policy) for row in connection.execute(select)]


def changes(before: Stored | None, after: Stored) -> list[dict[str, Any]]:
    """Every field that differs, with its JSON pointer."""
    found: list[dict[str, Any]] = []
    _compare("", _content(before) if before else {}, _content(after), found)
    return found


def name_taken(row: Stored) -> Conflict:
    """The error of a name that a live resource in the same scope has."""
    kind = row.kind.rpartition(".")[2].replace("_", " ")
    return Conflict(f"There is a {kind} named {row.name!r} already. Choose another name, or delete that one first.")


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


def _compare(pointer: str, before: Any, after: Any, found: list[dict[str, Any]]) -> None:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            place = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            _compare(place, before.get(key), after.get(key), found)
    elif before != after:
        found.append({"pointer": pointer, "before": before, "after": after})


def _values(row: Stored) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__slots__}
    return values | {name: _parsed(values[name]) for name in _JSON}


def _parsed(text: str) -> Any:
    return msgspec.json.decode(text)
