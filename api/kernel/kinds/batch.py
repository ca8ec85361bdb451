"""The batch method: several changes of one kind in one request."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from pydantic import Field, ValidationError

from api.kernel import problems
from api.kernel.kinds import standard
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.resource import Change, Draft
from api.kernel.kinds.rules import RuledKind
from api.kernel.kinds.stored_kind import Method
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from core.errors import HeadwaterError, InvalidPayload


class BatchMethod(StrEnum):
    """What one item of a batch does."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class BatchItem(Request):
    """One change of a batch."""

    method: Annotated[BatchMethod, Field(strict=False)]
    """What to do."""

    id: Annotated[str, Field(max_length=256)] | None = None
    """Which resource to update or delete."""

    if_match: Annotated[str, Field(max_length=128)] | None = None
    """ETag it must still have."""

    body: dict[str, Any] = {}
    """The body of the single method."""


class Batch(Request):
    """Changes to make in one request."""

    items: Annotated[list[BatchItem], Field(min_length=1, max_length=500)]
    """The changes, in order."""

    atomic: bool = True
    """Whether to make all changes or none. Otherwise each item succeeds or fails separately."""


class BatchOutcome(Model):
    """The outcome of one item."""

    status: int
    """HTTP status that the single method would have returned."""

    id: str | None
    """Id of the resource. Null if it was not created."""

    etag: str | None
    """ETag of the resource now. Null if it was deleted or not changed."""

    problem: dict[str, Any] | None
    """The problem document, if it failed."""


class BatchResult(Model):
    """The outcomes, in the order of the items."""

    items: list[BatchOutcome]
    """One for each item."""

    failed: int
    """How many failed."""


def declare(kind: RuledKind[Any]) -> None:
    """Registers the method if the kind has it."""
    if Method.BATCH not in kind.methods:
        return
    many = kind.plural.replace("-", " ")
    kind.register_unit(
        Shape.COLLECTION_ACTION,
        "batch",
        lambda unit, body: batch(unit, kind, body),
        kind.model,
        text=f"Creates, changes, and deletes {many} in one request: all or none, or each separately.",
        request=Batch,
        result=BatchResult,
        role=kind.writers,
    )


def batch(unit: Unit, kind: RuledKind[Any], body: Batch) -> BatchResult:
    """Makes the changes in one transaction; those of a batch that is not atomic each in a savepoint."""
    if body.atomic:
        return BatchResult(items=[_one(unit, kind, item, n) for n, item in enumerate(body.items)], failed=0)
    outcomes = []
    for n, item in enumerate(body.items):
        try:
            with unit.savepoint():
                outcome = _one(unit, kind, item, n)
        except HeadwaterError as error:
            problem = problems.body(error, request_id=unit.call.request_id, service=kind.service)
            outcome = BatchOutcome(status=error.status, id=item.id, etag=None, problem=problem)
        outcomes.append(outcome)
    return BatchResult(items=outcomes, failed=sum(outcome.status >= 400 for outcome in outcomes))


def _one(unit: Unit, kind: RuledKind[Any], item: BatchItem, n: int) -> BatchOutcome:
    method = item.method.value.lower()
    if Method(method) not in kind.methods:
        raise InvalidPayload(f"items/{n}: {kind.plural} cannot be {method}d.")
    spec: Any = kind.model.spec_type()
    with unit.part(kind, method, if_match=item.if_match or ""):
        if item.method is BatchMethod.CREATE:
            draft = _body(Draft[spec], item, n)
            unit.names.resolve(draft, f"/items/{n}/body")
            made = standard.create(unit, kind, draft)
            return BatchOutcome(status=201, id=made.id, etag=made.etag, problem=None)
        if not item.id:
            raise InvalidPayload(f"items/{n} needs an id.", errors=[{"pointer": f"/items/{n}/id", "detail": "missing"}])
        if item.method is BatchMethod.DELETE:
            standard.delete(unit, kind, item.id)
            return BatchOutcome(status=204, id=item.id, etag=None, problem=None)
        change = _body(Change[spec], item, n)
        unit.names.resolve(change, f"/items/{n}/body")
        changed = standard.update(unit, kind, item.id, change)
        return BatchOutcome(status=200, id=changed.id, etag=changed.etag, problem=None)


def _body(model: type[Any], item: BatchItem, n: int) -> Any:
    try:
        return model.model_validate_json(msgspec.json.encode(item.body), by_alias=True, by_name=False)
    except ValidationError as error:
        raise problems.invalid_body(error, below=f"/items/{n}/body") from None
