"""A kind over a separate table: one declaration gives it a list and a get, and the rights check of every action.

    class Loan(Model):
        \"\"\"A book that a reader has borrowed.\"\"\"

    LOAN = TableKind(Loan, TABLE, plural="loans", prefix="loa", filter_by=("book_id",))

    @LOAN.creation(request=NewLoan, result=Loan)
    def create_loan(unit: Unit, request: NewLoan) -> Loan: ...

    @LOAN.command("return", request=Request, result=Loan, past="returned")
    def return_loan(unit: Unit, loan: Row, request: Request) -> Loan: ...

Use it for facts and credentials: items without the envelope of a resource, which no merge-patch changes. Functions are
synchronous: they run in the one transaction of their request, and receive the row that the caller may act on.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter

from api.kernel.kinds.declaration import F
from api.kernel.kinds.encoded import etag_of
from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Query, Request
from api.kernel.permissions.power import Power
from api.kernel.references import ORGANIZATION, PROJECT
from api.kernel.roles import Role
from api.kernel.securable import ROOT, Securable
from api.kernel.storage.listing import SqlListing
from core.errors import Conflict
from core.ids import new_id

R = TypeVar("R", bound=Model)
B = TypeVar("B", bound=Request)
Q = TypeVar("Q", bound=Query)
O = TypeVar("O", bound=Model)  # noqa: E741 - output

Row = sa.Row[Any]


class TableKind(Kind, Generic[R]):
    """A kind whose items are rows of a table with the columns `id` and `organization_id`, and perhaps `project_id`."""

    def __init__(
        self,
        model: type[R],
        table: sa.Table,
        *,
        plural: str,
        prefix: str,
        title: str = "",
        filter_by: tuple[str, ...] = (),
        owner: str = "",
        item: Callable[[Unit, Row], R] | None = None,
        items: Callable[[Unit, Sequence[Row]], Sequence[R]] | None = None,
        readers: Role = Role.VIEWER,
        writers: Role = Role.EDITOR,
        powers: Mapping[str, Power] | None = None,
    ) -> None:
        """Declares the kind, with its list, newest first, and its get.

        Args:
            model: what callers see of a row. Its name and docstring are the kind's.
            table: the table. Rows without an organization belong to the platform. Rows with a `deleted_at` are
                deleted: only actions `on_deleted` find them.
            plural: plural in kebab-case, for URLs.
            prefix: three letters that its ids begin with.
            title: singular for people, if it is not the name of the model.
            filter_by: columns that lists can be filtered by.
            owner: the column with the id of a principal that may do everything with the row, without a grant.
            item: returns what callers see of a row. Defaults to the columns that the model has.
            items: returns what callers see of several rows, for models that other tables complete. Replaces `item`.
            readers: the least built-in role that may read.
            writers: the least built-in role that may change something.
            powers: what each changing verb lets a caller pass on. Required for kinds that change principals or rights.
        """
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", model.__name__).lower()
        super().__init__(
            words.replace(" ", "_"),
            plural=plural,
            title=title or words.capitalize(),
            description=inspect.getdoc(model) or "",
            example=f"{prefix}_06e1xq0000example000000000",
            scoped=True,
            filter_by=filter_by,
            powers=powers,
        )
        self.model = model
        self.prefix = prefix
        self.table = table
        self.readers = readers
        self.writers = writers
        self._owner = table.c[owner] if owner else None
        self._item = item
        self._items = items
        self._adapter = TypeAdapter(model)
        self._listing = SqlListing(id=table.c.id, fields={name: table.c[name] for name in filter_by}, newest_first=True)
        many = plural.replace("-", " ")
        self._action(
            Shape.LIST,
            "list",
            lambda _: self._page,
            reads=True,
            query=ListQuery,
            result=Page[model],  # type: ignore[valid-type]
            text=f"Lists the {many} that the caller can see, newest first."
            + (f"\n\nFilter by {', '.join(filter_by)}." if filter_by else ""),
        )(model)
        text = f"Returns {self.with_article} by id."
        self._action(Shape.GET, "get", lambda _: self._get, reads=True, result=model, text=text)(model)

    def item(self, unit: Unit, row: Row) -> R:
        """Returns what callers see of a row."""
        return self.items(unit, [row])[0]

    def items(self, unit: Unit, rows: Sequence[Row]) -> Sequence[R]:
        """Returns what callers see of rows, in their order."""
        if self._items:
            return self._items(unit, rows)
        if self._item:
            return [self._item(unit, row) for row in rows]
        return [self.model(**{name: row._mapping[name] for name in self.model.model_fields}) for row in rows]

    def add(
        self,
        unit: Unit,
        *,
        organization_id: str | None,
        project_id: str | None = None,
        id: str = "",
        on: Securable | None = None,
        **values: Any,
    ) -> R:
        """Stores a new row in the organization or project, and returns what callers see of it.

        Args:
            unit: the transaction of the request.
            organization_id: the organization of the row. None for a row of the platform.
            project_id: the project of the row.
            id: the id of the row. Defaults to a new one.
            on: what the caller must hold the permission on. Defaults to the project or organization.
            values: the other columns.

        Raises:
            PermissionDenied: the caller may not create items there.
        """
        scope = on or _scope(organization_id, project_id)
        unit.require(self.permission("create"), scope)
        unit.creates(id or new_id(self.prefix), scope)
        values |= {"id": unit.call.subject, "organization_id": organization_id}
        if "project_id" in self.table.c:
            values["project_id"] = project_id
        unit.connection.execute(self.table.insert().values(values))
        return self._stored(unit, unit.call.subject)

    def change(self, unit: Unit, row: Row, **values: Any) -> R:
        """Sets columns of a row, and returns what callers see of it then."""
        unit.connection.execute(self.table.update().where(self.table.c.id == row.id).values(values))
        return self._stored(unit, row.id)

    def visible(self, unit: Unit) -> sa.ColumnElement[bool]:
        """Returns the condition for the rows that the caller can see."""
        granted = unit.principal.access.where(self.permission("get"), self.table, id=self.table.c.organization_id)
        return granted if self._owner is None else sa.or_(self._owner == unit.principal.id, granted)

    def present(self, *, deleted: bool = False) -> sa.ColumnElement[bool]:
        """Returns the condition for the rows that are not deleted, or for the `deleted` ones."""
        if "deleted_at" not in self.table.c:
            return sa.false() if deleted else sa.true()
        return self.table.c.deleted_at.is_not(None) if deleted else self.table.c.deleted_at.is_(None)

    def place(self, unit: Unit, row: Row) -> Securable:
        """Returns what the caller must hold permissions for a row on: its project or organization."""
        return _scope(row.organization_id, row._mapping.get("project_id"))

    def row(self, unit: Unit, id: str, verb: str = "get", *, deleted: bool = False) -> Row:
        """Returns the row that the caller may do `verb` with, and makes its scope that of the audit record.

        Raises:
            NotFound: there is none, none that the caller can see, or it is deleted.
            Conflict: `deleted` asks for a deleted row, and it is not deleted.
            PermissionDenied: the caller can see the row, but lacks the permission.
            PreconditionFailed: the caller saw another version of the row.
        """
        select = sa.select(self.table).where(self.table.c.id == id, self.visible(unit))
        row = unit.connection.execute(select.with_for_update() if unit.writes else select).first()
        if row is None or (not deleted and row._mapping.get("deleted_at")):
            raise self.unknown(id)
        owns = self._owner is not None and row._mapping[self._owner.name] == unit.principal.id
        scope = unit.call.securable = self.place(unit, row)
        if not owns and not unit.allows(self.permission(verb), scope):
            raise denied(self.permission(verb))
        if deleted and row._mapping.get("deleted_at") is None:
            raise Conflict(f"The {self.title.lower()} {id} is not deleted.")
        if unit.call.if_match:
            unit.call.require_match(etag_of(self._adapter.dump_json(self.item(unit, row), by_alias=True)))
        return row

    def creation(
        self, *, request: type[B], result: type[O], role: Role | None = None, secret: bool = False, past: str = ""
    ) -> Callable[[Callable[[Unit, B], O]], Callable[[Unit, B], O]]:
        """`POST /plural`. The function returns what `add` returns."""

        options: dict[str, Any] = {"request": request, "result": result, "secret": secret, "past": past}
        return self._action(Shape.CREATE, "create", lambda function: function, role=role, **options)

    def command(
        self,
        verb: str,
        *,
        request: type[B],
        result: type[O],
        reads: bool = False,
        role: Role | None = None,
        secret: bool = False,
        past: str = "",
        on_deleted: bool = False,
    ) -> Callable[[Callable[[Unit, Row, B], O]], Callable[[Unit, Row, B], O]]:
        """`POST /plural/{id}:<verb>`: an action on one row, or on one deleted row, in a transaction."""

        options: dict[str, Any] = {"request": request, "result": result, "secret": secret, "past": past}
        on_row = self._on_row(verb, deleted=on_deleted)
        return self._action(Shape.ACTION, verb, on_row, reads=reads, role=role, **options)

    def modification(
        self, *, request: type[B], result: type[O], role: Role | None = None
    ) -> Callable[[Callable[[Unit, Row, B], O]], Callable[[Unit, Row, B], O]]:
        """`PATCH /plural/{id}`: JSON merge-patch. `request.model_fields_set` distinguishes absent from null."""

        options: dict[str, Any] = {"request": request, "result": result}
        return self._action(Shape.UPDATE, "update", self._on_row("update"), role=role, **options)

    def deletion(
        self, *, role: Role | None = None, past: str = ""
    ) -> Callable[[Callable[[Unit, Row], None]], Callable[[Unit, Row], None]]:
        """`DELETE /plural/{id}`."""

        options: dict[str, Any] = {"answer": Answer.NOTHING, "past": past}
        return self._action(Shape.DELETE, "delete", self._on_row("delete"), role=role, **options)

    def view(
        self, name: str, *, query: type[Q], result: type[O], role: Role | None = None
    ) -> Callable[[Callable[[Unit, Row, Q], O]], Callable[[Unit, Row, Q], O]]:
        """`GET /plural/{id}/<name>`: a part of the row."""

        return self._action(Shape.PART, name, self._on_row(name), reads=True, role=role, query=query, result=result)

    def _stored(self, unit: Unit, id: str) -> R:
        return self.item(unit, unit.connection.execute(sa.select(self.table).where(self.table.c.id == id)).one())

    def _get(self, unit: Unit, id: str) -> R:
        return self.item(unit, self.row(unit, id))

    def _page(self, unit: Unit, query: ListQuery) -> Page[R]:
        select = sa.select(self.table).where(self.visible(unit), self.present())
        rows, token = self._listing.rows(unit.connection, select, query)
        return Page[R](items=list(self.items(unit, rows)), next_page_token=token)

    def _on_row(self, verb: str, *, deleted: bool = False) -> Callable[[F], Callable[..., Any]]:
        def runs(function: F) -> Callable[..., Any]:
            return lambda unit, id, *input: function(unit, self.row(unit, id, verb, deleted=deleted), *input)

        return runs

    def _action(
        self, shape: Shape, verb: str, runs: Callable[[F], Callable[..., Any]], **options: Any
    ) -> Callable[[F], F]:
        return self.in_transaction(shape, verb, runs, own=self._owner is not None, **options)


def _scope(organization_id: str | None, project_id: str | None) -> Securable:
    if project_id:
        return Securable(PROJECT, project_id, organization_id, project_id)
    return Securable(ORGANIZATION, organization_id, organization_id) if organization_id else ROOT
