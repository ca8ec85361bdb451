"""The standard methods of stored kinds.

Each one is a function of a unit of work. `declare` registers those that a kind has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
from pydantic import Field

from api.kernel.filtering.filters import parse
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.encoded import Encoded, project
from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.holders import holder
from api.kernel.kinds.merge_patch import patched
from api.kernel.kinds.placement import scope_of_new
from api.kernel.kinds.resource import LABEL_KEY, MAX_LABELS, Change, Draft, Resource, ResourcePage
from api.kernel.kinds.rules import RuledKind
from api.kernel.kinds.stored_kind import ORDER, Method, StoredKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Request
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core.errors import Conflict, InvalidPayload
from core.ids import is_generated_id

R = TypeVar("R", bound=Resource[Any, Any])


class ResourceQuery(ListQuery):
    """The parameters of every list of resources."""

    fields: Annotated[str, Field(max_length=500)] = ""
    """Fields to return, separated by commas, such as `id,name,status.state`. Defaults to all."""

    show_deleted: bool = False
    """Also list resources that are deleted and not purged yet."""

    total: bool = False
    """Also count all resources that match the filter."""


def declare(kind: RuledKind[Any]) -> None:
    """Registers the standard methods that the kind has."""
    for method, register in _registrations(kind).items():
        if method in kind.methods:
            register()


def create(unit: Unit, kind: RuledKind[R], draft: Draft[Any]) -> R:
    """Creates a resource in the scope that the draft names."""
    scope = scope_of_new(unit, kind, draft.organization_id, draft.project_id)
    unit.require(kind.permission("create"), scope)
    resource = unit.new(kind, scope, _name(kind, draft.name), draft.spec, labels=draft.labels)
    return insert(unit, kind, resource)


def insert(unit: Unit, kind: RuledKind[R], resource: R) -> R:
    """Stores a resource that `Unit.new` returned. Runs the validators and hooks of the kind."""
    for validator in kind.validators:
        validator(unit, resource, None)
    kind.run_before("create", unit, resource)
    made = unit.add(kind, resource)
    unit.call.subject = made.id
    unit.call.securable = kind.stored(made, scope_id="").securable
    unit.call.note(version=1, name=made.name)
    kind.run_after("create", unit, made)
    return made


def update(unit: Unit, kind: RuledKind[R], id: str, change: Change[Any]) -> R:
    """Changes a resource by merge-patch."""
    before = unit.row(kind, id, permission=kind.permission("update"))
    unit.subject(before)
    if not change.model_fields_set:
        raise InvalidPayload("Nothing to change: send name, owner, labels or spec.")
    resource = kind.resource(before)
    if change.name is not None:
        resource.name = _name(kind, change.name)
    if change.owner is not None:
        resource.owner = holder(unit, change.owner, "/owner").id
    if change.labels:
        _label(resource, change.labels)
    if change.spec:
        resource.spec = patched(kind, resource, change.spec)
        unit.names.resolve(resource.spec, "/spec")
    return write(unit, kind, before, resource, "update")


def _label(resource: Resource[Any, Any], labels: Mapping[str, str | None]) -> None:
    """Sets and removes labels. A label that an earlier release stored can always be removed.

    Raises:
        InvalidPayload: a key isn't valid, or there would be too many labels.
    """
    before = len(resource.labels)
    for key, value in labels.items():
        if value is None:
            resource.labels.pop(key, None)
        elif not re.fullmatch(LABEL_KEY, key):
            fault = {"pointer": "/labels", "detail": f"has a key that does not match {LABEL_KEY}"}
            raise InvalidPayload(f"The key of a label matches {LABEL_KEY}.", errors=[fault])
        else:
            resource.labels[key] = value
    if len(resource.labels) > max(MAX_LABELS, before):
        fault = {"pointer": "/labels", "detail": f"would have more than {MAX_LABELS} entries"}
        raise InvalidPayload(f"An item has at most {MAX_LABELS} labels.", errors=[fault])


def write(unit: Unit, kind: RuledKind[R], before: Stored, resource: R, method: str) -> R:
    """Stores a changed resource. Runs the validators and hooks of the kind."""
    was = kind.resource(before)
    for validator in kind.validators:
        validator(unit, resource, was)
    kind.run_before(method, unit, resource)
    escalation.require_relabeling(unit, before, kind.stored(resource, scope_id=before.scope_id))
    saved = unit.save(kind, before, resource)
    kind.run_after(method, unit, saved)
    return saved


def move(
    unit: Unit,
    kind: RuledKind[R],
    verb: str,
    id: str,
    sources: Sequence[StrEnum],
    to: StrEnum,
    change: Callable[[R], None],
) -> R:
    """Moves a resource from one of the source states to another."""
    before = unit.row(kind, id, permission=kind.permission(verb))
    unit.subject(before)
    resource = kind.resource(before)
    state = resource.status.state
    if state not in sources:
        wanted = " or ".join(sources)
        raise Conflict(f"{resource.name} is {state}; {verb} needs it to be {wanted}.", metadata={"state": str(state)})
    change(resource)
    resource.status.state = to
    return write(unit, kind, before, resource, verb)


def delete(unit: Unit, kind: RuledKind[Any], id: str) -> None:
    """Deletes a resource softly, unless a live resource refers to it."""
    before = unit.row(kind, id, permission=kind.permission("delete"))
    unit.subject(before)
    resource = kind.resource(before)
    if referring := store.referring(unit.connection, before.id):
        row, field = referring[0]
        noun = row.kind.rpartition(".")[2].replace("_", " ")
        raise Conflict(
            f"{before.name} is still used by the {noun} {row.name}. Change or delete that first.",
            metadata={"used_by": row.id, "field": field},
        )
    kind.run_before("delete", unit, resource)
    resource.deleted_at = unit.now
    unit.save(kind, before, resource)
    kind.run_after("delete", unit, resource)


def restore(unit: Unit, kind: RuledKind[R], id: str) -> R:
    """Restores a deleted resource as it was."""
    before = unit.row(kind, id, permission=kind.permission("restore"), deleted=True)
    unit.subject(before)
    resource = kind.resource(before)
    resource.deleted_at = None
    return write(unit, kind, before, resource, "restore")


def visible(unit: Unit, kind: StoredKind[Any], *, deleted: bool = False) -> sa.Select[Any]:
    """Returns a select of the rows of this kind that the caller can see."""
    select = sa.select(*store.COLUMNS).where(
        RESOURCE.c.kind == kind.full_name, unit.principal.access.where(kind.permission("get"))
    )
    return select if deleted else select.where(RESOURCE.c.deleted_at.is_(None))


def page(unit: Unit, kind: StoredKind[Any], query: ResourceQuery) -> Encoded:
    """Returns one page of resources."""
    select = visible(unit, kind, deleted=query.show_deleted)
    rows, token = kind.listing.rows(unit.connection, select, query)
    items = [kind.current(store.stored(row)) for row in rows]
    total = None
    if query.total:
        matching = select.where(parse(query.filter, kind.fields).sql()) if query.filter else select
        total = unit.connection.execute(sa.select(sa.func.count()).select_from(matching.subquery())).scalar_one()
    mask = tuple(path.strip() for path in query.fields.split(",") if path.strip())
    documents = [project(item, mask) if mask else item.document() for item in items]
    return Encoded.of({"items": documents, "next_page_token": token, "total_size": total})


def _name(kind: StoredKind[Any], name: str) -> str:
    if not kind.name_pattern.fullmatch(name):
        detail = f"does not match {kind.name_pattern.pattern}"
        raise InvalidPayload(f"name: {detail}.", errors=[{"pointer": "/name", "detail": detail}])
    return name


def _registrations(kind: RuledKind[Any]) -> dict[Method, Callable[[], None]]:
    """Returns how to register each method: its URL, its models, and its documentation."""
    many = kind.plural.replace("-", " ")
    model: Any = kind.model
    spec: Any = model.spec_type()
    writes: dict[str, Any] = {"declared": model, "result": model, "role": kind.writers}
    reads: dict[str, Any] = {"declared": model, "reads": True, "role": kind.readers}
    restorable = " It can be restored." if Method.RESTORE in kind.methods else ""
    fixed = f" Never changes: {', '.join(kind.immutable)}." if kind.immutable else ""
    register = kind.register_unit

    async def get(ctx: Context, id: str) -> Encoded:
        found = await ctx.platform.rows.row(kind.full_name, id, within=kind.names_in(ctx.principal))
        if found is None and not is_generated_id(id):
            found = await ctx.read(lambda unit: unit.find(kind, id))
        row = kind.authorized(found, id, ctx.principal.access)
        return Encoded(row.encode(), row.etag)

    def register_get() -> None:
        text = f"Returns {kind.with_article} by id or name."
        kind.register(Shape.GET, "get", declared=model, result=model, role=kind.readers, text=text)(get)

    return {
        Method.LIST: lambda: register(
            Shape.LIST,
            "list",
            lambda unit, query: page(unit, kind, query),
            text=f"Lists the {many} that the caller can see.\n\nFilter by {', '.join(kind.filter_by)}; order by "
            f"{', '.join(ORDER)}.",
            query=ResourceQuery,
            result=ResourcePage[model],
            **reads,
        ),
        Method.GET: register_get,
        Method.CREATE: lambda: register(
            Shape.CREATE,
            "create",
            lambda unit, draft: create(unit, kind, draft),
            text=f"Creates {kind.with_article}.",
            request=Draft[spec],
            **writes,
        ),
        Method.UPDATE: lambda: register(
            Shape.UPDATE,
            "update",
            lambda unit, id, change: update(unit, kind, id, change),
            text=f"Changes {kind.with_article} by JSON merge-patch.\n\nAbsent fields stay as they are, null resets a "
            f"field.{fixed} Send `If-Match` to change only the version that you read.",
            request=Change[spec],
            **writes,
        ),
        Method.DELETE: lambda: register(
            Shape.DELETE,
            "delete",
            lambda unit, id: delete(unit, kind, id),
            text=f"Deletes {kind.with_article}.{restorable}",
            declared=model,
            answer=Answer.NOTHING,
            role=kind.writers,
        ),
        Method.RESTORE: lambda: register(
            Shape.ACTION,
            "restore",
            lambda unit, id, body: restore(unit, kind, id),
            text=f"Restores a deleted {kind.title.lower()} as it was, unless its name was taken in the meantime.",
            request=Request,
            **writes,
        ),
    }
