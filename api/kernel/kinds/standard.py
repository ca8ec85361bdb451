"""The standard methods: written once, earned by each kind.

Every one is a plain function over a unit of work; `declare` hangs those that a kind has on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import sqlalchemy as sa
from pydantic import Field

from api.kernel.filtering.filters import parse
from api.kernel.kinds.encoded import Encoded, project
from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.merge_patch import patched
from api.kernel.kinds.resource import Change, Draft, Resource, ResourcePage
from api.kernel.kinds.unit import Unit, shown
from api.kernel.models import ListQuery, Request
from api.kernel.storage import store
from api.kernel.storage.listing import SqlListing
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core.errors import Conflict, InvalidPayload

if TYPE_CHECKING:
    from api.kernel.kinds.context import Context
    from api.kernel.kinds.resource_kind import ResourceKind

R = TypeVar("R", bound=Resource[Any, Any])

ORDER = ("name", "created_at", "updated_at")


class Method(Enum):
    """A standard method that a kind may have."""

    LIST = "list"
    GET = "get"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RESTORE = "restore"
    HISTORY = "history"
    BATCH = "batch"
    WATCH = "watch"
    EXPORT = "export"


ALL = frozenset(Method)
FACTS = frozenset({Method.LIST, Method.GET, Method.EXPORT, Method.WATCH})


class ResourceQuery(ListQuery):
    """What every list of resources understands."""

    fields: Annotated[str, Field(max_length=500)] = ""
    """Fields to answer with, separated by commas, such as `id,name,status.state`; all by default."""

    show_deleted: bool = False
    """Also list what was deleted and not yet purged."""

    total: bool = False
    """Also count everything that meets the filter."""


def declare(kind: ResourceKind[Any]) -> None:
    """Hangs the methods that the kind has on it."""
    for method, hang in _hang(kind).items():
        if method in kind.methods:
            hang()


def create(unit: Unit, kind: ResourceKind[R], draft: Draft[Any]) -> R:
    """Creates a resource where the draft says."""
    scope = unit.scope(kind, draft.organization_id, draft.project_id)
    unit.require(kind.permission("create"), scope)
    resource = unit.new(kind, scope, _name(kind, draft.name), draft.spec, labels=draft.labels)
    return insert(unit, kind, resource)


def insert(unit: Unit, kind: ResourceKind[R], resource: R) -> R:
    """Stores a resource made by `Unit.new`, with the kind's checks and hooks."""
    for validator in kind.validators:
        validator(unit, resource, None)
    kind.run_before("create", unit, resource)
    made = unit.add(kind, resource)
    unit.ctx.subject = made.id
    unit.ctx.securable = kind.stored(made, scope_id="").securable
    unit.ctx.note(version=1, name=made.name)
    kind.run_after("create", unit, made)
    return made


def update(unit: Unit, kind: ResourceKind[R], id: str, change: Change[Any]) -> R:
    """Changes a resource by merge-patch."""
    before = unit.row(kind, id, permission=kind.permission("update"))
    unit.subject(before)
    if not change.model_fields_set:
        raise InvalidPayload("Nothing to change: send name, owner, labels or spec.")
    resource = kind.resource(before)
    if change.name is not None:
        resource.name = _name(kind, change.name)
    if change.owner is not None:
        resource.owner = unit.holder(change.owner, "/owner").id
    for key, value in change.labels.items():
        if value is None:
            resource.labels.pop(key, None)
        else:
            resource.labels[key] = value
    if change.spec:
        resource.spec = patched(kind, resource, change.spec)
    return write(unit, kind, before, resource, "update")


def write(unit: Unit, kind: ResourceKind[R], before: Stored, resource: R, method: str) -> R:
    """Stores a changed resource, with the kind's checks and hooks."""
    was = kind.resource(before)
    for validator in kind.validators:
        validator(unit, resource, was)
    kind.run_before(method, unit, resource)
    saved = unit.save(kind, before, resource)
    kind.run_after(method, unit, saved)
    return saved


def move(
    unit: Unit,
    kind: ResourceKind[R],
    verb: str,
    id: str,
    sources: Sequence[StrEnum],
    to: StrEnum,
    work: Callable[[R], None],
) -> R:
    """Takes a resource from one of the source states to another."""
    before = unit.row(kind, id, permission=kind.permission(verb))
    unit.subject(before)
    resource = kind.resource(before)
    state = resource.status.state
    if state not in sources:
        wanted = " or ".join(sources)
        raise Conflict(f"{resource.name} is {state}; {verb} needs it to be {wanted}.", metadata={"state": str(state)})
    work(resource)
    resource.status.state = to
    return write(unit, kind, before, resource, verb)


def delete(unit: Unit, kind: ResourceKind[Any], id: str) -> None:
    """Deletes a resource softly, after what refers to it has had its say."""
    before = unit.row(kind, id, permission=kind.permission("delete"))
    unit.subject(before)
    resource = kind.resource(before)
    for row, field, policy in store.referring(unit.connection, before.id):
        if policy == "RESTRICT":
            noun = row.kind.rpartition(".")[2].replace("_", " ")
            raise Conflict(
                f"{before.name} is still used by the {noun} {row.name}. Change or delete that first.",
                metadata={"used_by": row.id, "field": field},
            )
    kind.run_before("delete", unit, resource)
    resource.deleted_at = unit.now
    unit.save(kind, before, resource)
    kind.run_after("delete", unit, resource)


def restore(unit: Unit, kind: ResourceKind[R], id: str) -> R:
    """Brings a deleted resource back as it was."""
    before = unit.row(kind, id, permission=kind.permission("restore"), deleted=True)
    unit.subject(before)
    resource = kind.resource(before)
    resource.deleted_at = None
    return write(unit, kind, before, resource, "restore")


def listing(kind: ResourceKind[Any]) -> SqlListing:
    """How lists of this kind are filtered and paged."""
    return SqlListing(id=RESOURCE.c.id, fields=kind.fields, order=ORDER)


def visible(unit: Unit, kind: ResourceKind[Any], *, deleted: bool = False) -> sa.Select[Any]:
    """A select of the rows of this kind that the caller may see."""
    select = sa.select(*store.COLUMNS).where(
        RESOURCE.c.kind == kind.full_name, unit.principal.access.where(kind.permission("get"))
    )
    return select if deleted else select.where(RESOURCE.c.deleted_at.is_(None))


def page(unit: Unit, kind: ResourceKind[Any], query: ResourceQuery) -> Encoded:
    """One page of resources."""
    select = visible(unit, kind, deleted=query.show_deleted)
    rows, token = kind.listing.rows(unit.connection, select, query)
    items = [kind.current(store.stored(row)) for row in rows]
    total = None
    if query.total:
        met = select.where(parse(query.filter, kind.fields).sql()) if query.filter else select
        total = unit.connection.execute(sa.select(sa.func.count()).select_from(met.subquery())).scalar_one()
    mask = tuple(path.strip() for path in query.fields.split(",") if path.strip())
    documents = [project(item, mask) if mask else item.document() for item in items]
    return Encoded.of({"items": documents, "next_page_token": token, "total_size": total})


def _name(kind: ResourceKind[Any], name: str) -> str:
    if not kind.name_pattern.fullmatch(name):
        detail = f"does not match {kind.name_pattern.pattern}"
        raise InvalidPayload(f"name: {detail}.", errors=[{"pointer": "/name", "detail": detail}])
    return name


def _hang(kind: ResourceKind[Any]) -> dict[Method, Callable[[], None]]:
    """How each method is hung on a kind: URL, models and the text of its documentation."""
    one = f"{'an' if kind.title[0] in 'AEIO' else 'a'} {kind.title.lower()}"
    many = kind.plural.replace("-", " ")
    model: Any = kind.model
    spec: Any = model.spec_type()
    writes: dict[str, Any] = {"result": kind.model, "role": kind.writers}
    reads: dict[str, Any] = {"reads": True, "role": kind.readers}
    back = " It can be restored." if Method.RESTORE in kind.methods else ""
    fixed = f" Never changes: {', '.join(kind.immutable)}." if kind.immutable else ""
    hang = kind.hang_unit

    async def get(ctx: Context, id: str) -> Encoded:
        found = await ctx.platform.rows.row(kind.full_name, id, named=kind.named)
        row = shown(kind, ctx.principal.access, id, found)
        return Encoded(row.encode(), row.etag)

    def hang_get() -> None:
        text = f"Returns {one}{' by id or name' if kind.named else ''}."
        kind.hang(Shape.GET, "get", result=kind.model, role=kind.readers, text=text, declared=kind.model)(get)

    return {
        Method.LIST: lambda: hang(
            *(Shape.LIST, "list", lambda unit, query: page(unit, kind, query)),
            f"Lists the {many} that the caller may see.\n\nFilter by {', '.join(kind.filter_by)}; "
            f"order by {', '.join(ORDER)}.",
            query=ResourceQuery,
            result=ResourcePage[model],
            **reads,
        ),
        Method.GET: hang_get,
        Method.CREATE: lambda: hang(
            *(Shape.CREATE, "create", lambda unit, draft: create(unit, kind, draft), f"Creates {one}."),
            request=Draft[spec],
            **writes,
        ),
        Method.UPDATE: lambda: hang(
            *(Shape.UPDATE, "update", lambda unit, id, change: update(unit, kind, id, change)),
            f"Changes {one} by JSON merge-patch.\n\nAbsent fields stay, null resets one.{fixed} Send `If-Match` to "
            "change only what you saw.",
            request=Change[spec],
            **writes,
        ),
        Method.DELETE: lambda: hang(
            *(Shape.DELETE, "delete", lambda unit, id: delete(unit, kind, id), f"Deletes {one}.{back}"),
            answer=Answer.NOTHING,
            role=kind.writers,
        ),
        Method.RESTORE: lambda: hang(
            *(Shape.ACTION, "restore", lambda unit, id, body: restore(unit, kind, id)),
            f"Brings a deleted {kind.title.lower()} back as it was, unless its name was taken meanwhile.",
            request=Request,
            **writes,
        ),
    }
