"""A made-up service whose kinds have every standard method, references, hooks and commands, and rights to try them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from api.kernel.kinds import escalation
from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.service import Service
from api.kernel.kinds.stored_kind import Method
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions import grants
from api.kernel.permissions.grants import GrantRow
from api.kernel.securable import ROOT
from core.errors import Conflict
from tests.api.admin.tenants import Tenant, made, user
from tests.api.admin.tenants import grant as grant
from tests.api_process import Api, Caller

BOOKS = "library/books"
SHELVES = "library/shelves"
STAMPS = "library/stamps"
RULES = "library/rules"


class ShelfSpec(Spec):
    title: Title = "A shelf"


class Shelf(Resource[ShelfSpec, Status]):
    """A made-up thing that others refer to."""


class BookState(StrEnum):
    DRAFT = "DRAFT"
    PRINTED = "PRINTED"


class BookSpec(Spec):
    title: Title = "A book"
    isbn: str | None = None
    shelf: str | None = None
    also: list[str] = []
    size: dict[str, int] = {}


class BookStatus(Status):
    state: BookState = BookState.DRAFT
    read: int = 0


class Book(Resource[BookSpec, BookStatus]):
    """A made-up thing with everything that a kind may have."""


class StampSpec(Spec):
    text: str = ""


class Stamp(Resource[StampSpec, Status]):
    """A made-up resource whose name is unique on the whole platform."""


class Rule(Resource[Spec, Status]):
    """A made-up thing of the platform itself."""


class Pages(Request):
    count: int = 0


class Reported(Model):
    text: str


SHELF = ResourceKind(Shelf, plural="shelves", prefix="shf", level=Level.PROJECT)
BOOK = ResourceKind(
    Book,
    plural="books",
    prefix="bok",
    level=Level.PROJECT,
    immutable=("isbn",),
    filter_by=("spec.title",),
    references=(Reference("shelf", "library.shelf"), Reference("also", "library.book")),
)
STAMP = ResourceKind(
    Stamp,
    plural="stamps",
    prefix="stp",
    level=Level.ORGANIZATION,
    named=Level.PLATFORM,
    name=r"[a-z][a-z0-9_-]{0,62}",
    methods=frozenset({Method.GET, Method.CREATE, Method.UPDATE, Method.BATCH, Method.HISTORY}),
)

RULE = ResourceKind(
    Rule, plural="rules", prefix="rul", level=Level.PLATFORM, methods=frozenset({Method.GET, Method.CREATE})
)


@BOOK.before("create")
def refuse_before(unit: Unit, book: Book) -> None:
    if book.name == "refused":
        raise Conflict("It is refused before it is written.")


@BOOK.after("create", "update", "delete")
def refuse_after(unit: Unit, book: Book) -> None:
    if book.spec.title.startswith("late"):
        unit.emit("library.book.told", book.id, ROOT)
        unit.forget()
        raise Conflict("It is refused after it was written.")


@BOOK.after("create")
def grant_everything(unit: Unit, book: Book) -> None:
    """Makes the caller an admin of the platform for as long as the item is not undone, or requires that it is one."""
    if book.spec.title == "grants everything":
        scope = {"securable_id": ROOT.id, "securable_kind": ROOT.kind, "organization_id": None, "project_id": None}
        values = {"role_id": "rol_admin", "permission": None, "effect": "ALLOW", "condition": "", "expires_at": None}
        facts = {"created_at": unit.now, "created_by": "library"}
        grants.insert(unit.connection, GrantRow("grt_library", unit.principal.id, **scope, **values, **facts))  # type: ignore[arg-type]
    if book.spec.title.endswith("everything"):
        escalation.require_rights(unit, [escalation.EVERYTHING])
    if book.spec.title == "grants everything":
        raise Conflict("The item is undone.")


@BOOK.transition("print", request=Request, sources=(BookState.DRAFT,), to=BookState.PRINTED, past="printed")
def print_book(unit: Unit, book: Book, request: Request) -> None:
    """Prints it."""


@BOOK.command("read", request=Pages, result=Reported, past="read")
def read_book(unit: Unit, book: Book, request: Pages) -> Reported:
    """Reads so many pages."""
    book.status.read += request.count
    return Reported(text=book.name)


@BOOK.command("quote", request=Pages, result=Reported, reads=True)
def quote_book(unit: Unit, book: Book, request: Pages) -> Reported:
    """Quotes it; what it does to the book in hand is not kept."""
    book.status.read += 1
    return Reported(text=book.spec.title)


@BOOK.on_deleted("mourn", request=Request, result=Reported, past="mourned")
def mourn_book(unit: Unit, book: Book, request: Request) -> Reported:
    """Says its name once more."""
    return Reported(text=book.name)


@BOOK.view("summary", query=Query, result=Reported)
def summarize_book(unit: Unit, book: Book, query: Query) -> Reported:
    """What is in it."""
    return Reported(text=book.spec.title)


LIBRARY = Service("library", "Library", [SHELF, BOOK, STAMP, RULE], description="Made up.")


async def book(caller: Caller, project: str, name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> Any:
    """A new book."""
    body = {"name": name, "project_id": project, "labels": labels or {}, "spec": spec}
    return await made(caller.post(BOOKS, body))


async def patch(caller: Caller, id: str, body: Any, **options: Any) -> Any:
    """The answer to a change of a book."""
    return await caller("PATCH", f"{BOOKS}/{id}", json=body, **options)


async def reader(api: Api, home: Tenant, name: str, *permissions: str, **grants: Any) -> Caller:
    """A user who holds these permissions in the project of the tenant, and no other."""
    id = await user(api, name, home.organization)
    for permission in permissions:
        await grant(api, id, permission, home.project, **grants)
    return api.caller(name)
