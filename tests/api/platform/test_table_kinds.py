"""Kinds over a table of their own: what their declaration gives them, to whom, and what it records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple

import pytest_asyncio
import sqlalchemy as sa

from api.kernel import references
from api.kernel.kinds.service import Service
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.services.admin.kinds.project import PROJECT
from core.db import UtcDateTime
from core.errors import Conflict
from core.events import EVENT
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api_process import Api, Caller, running_service

TABLE = sa.Table(
    "loan",
    sa.MetaData(),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("organization_id", sa.String),
    sa.Column("project_id", sa.String),
    sa.Column("reader_id", sa.String),
    sa.Column("book", sa.String),
    sa.Column("created_at", UtcDateTime),
    sa.Column("returned_at", UtcDateTime),
)


class Loan(Model):
    """A book that a reader has borrowed."""

    id: str
    reader_id: str
    book: str
    returned_at: datetime | None


class NewLoan(Request):
    project_id: references.Project
    book: str


class Reminder(Model):
    text: str


LOAN = TableKind(Loan, TABLE, plural="loans", prefix="loa", filter_by=("book",), owner="reader_id")


@LOAN.creation(request=NewLoan, result=Loan)
def create_loan(unit: Unit, request: NewLoan) -> Loan:
    """Lends a book."""
    project = unit.row(PROJECT, request.project_id)
    return LOAN.add(
        unit,
        organization_id=project.organization_id,
        project_id=project.id,
        reader_id=unit.principal.id,
        book=request.book,
        created_at=unit.now,
    )


@LOAN.command("return", request=Request, result=Loan, past="returned")
def return_loan(unit: Unit, loan: Row, request: Request) -> Loan:
    """Returns the book."""
    if loan.returned_at:
        raise Conflict("The book is back already.")
    return LOAN.change(unit, loan, returned_at=unit.now)


@LOAN.view("reminder", query=Query, result=Reminder)
def get_reminder(unit: Unit, loan: Row, query: Query) -> Reminder:
    """Returns a letter to the reader."""
    return Reminder(text=f"Please return {loan.book}.")


@LOAN.deletion()
def delete_loan(unit: Unit, loan: Row) -> None:
    """Deletes the record."""
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == loan.id))


class Lending(NamedTuple):
    api: Api
    home: Tenant


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lending(tmp_path_factory: Any) -> AsyncIterator[Lending]:
    async with running_service(tmp_path_factory.mktemp("home"), Service("lending", "Lending", [LOAN])) as api:
        TABLE.create(api.database.engine)
        yield Lending(api, await tenant(api, "home"))


async def lend(caller: Caller, home: Tenant, book: str) -> str:
    return str((await made(caller.post("lending/loans", {"project_id": home.project, "book": book})))["id"])


async def ids(caller: Caller, **query: Any) -> list[str]:
    reply = await caller.get("lending/loans", params=query)
    assert reply.status == 200, reply.response.text
    return [item["id"] for item in reply.json["items"]]


async def test_lists_are_filtered_and_newest_first(lending: Lending) -> None:
    first, second = [await lend(lending.home.admin, lending.home, book) for book in ("Emma", "Ulysses")]
    assert (await ids(lending.home.admin))[:2] == [second, first]
    assert await ids(lending.home.admin, filter='book == "Emma"') == [first]


async def test_another_tenant_sees_nothing_and_learns_nothing(lending: Lending) -> None:
    loan = await lend(lending.home.admin, lending.home, "Middlemarch")
    other = await tenant(lending.api, "other")
    assert await ids(other.admin) == []
    for method, path in (("GET", ""), ("POST", ":return"), ("GET", "/reminder"), ("DELETE", "")):
        absent = await other.admin(method, f"lending/loans/loa_06e1xq0000example000000000{path}", json={})
        hidden = await other.admin(method, f"lending/loans/{loan}{path}", json={})
        assert hidden.status == absent.status == 404
        assert hidden.json["detail"].replace(loan, "X") == absent.json["detail"].replace(
            "loa_06e1xq0000example000000000", "X"
        )


async def test_who_sees_a_row_needs_the_permission_of_the_action(lending: Lending) -> None:
    loan = await lend(lending.home.admin, lending.home, "Dracula")
    reader = await user(lending.api, "mina", lending.home.organization)
    await grant(lending.api, reader, "lending.loan.get", lending.home.project)
    mina = lending.api.caller("mina")
    assert (await mina.get(f"lending/loans/{loan}")).json["book"] == "Dracula"
    denied = await mina.post(f"lending/loans/{loan}:return", {})
    assert (denied.status, denied.json["detail"].count("lending.loan.return")) == (403, 1)
    await grant(lending.api, reader, "lending.loan.return", lending.home.project)
    assert (await mina.post(f"lending/loans/{loan}:return", {})).json["returned_at"]
    assert (await mina.post(f"lending/loans/{loan}:return", {})).status == 409


async def test_a_right_of_one_project_holds_for_nothing_of_its_neighbor(lending: Lending) -> None:
    """Each verb, for a caller who holds it in another project of the same organization and sees both projects."""
    neighbor = {"name": "next_door", "organization_id": lending.home.organization, "spec": {"title": "Next door"}}
    elsewhere = str((await made(lending.api.admin.post("admin/projects", neighbor)))["id"])
    loan = await lend(lending.home.admin, lending.home, "Villette")
    lucy = await user(lending.api, "lucy", lending.home.organization)
    for verb in ("create", "get", "return", "reminder", "delete"):
        await grant(lending.api, lucy, f"lending.loan.{verb}", elsewhere)
    await grant(lending.api, lucy, "admin.project.get", lending.home.organization)
    caller, before = lending.api.caller("lucy"), await ids(lending.home.admin)
    denied = await caller.post("lending/loans", {"project_id": lending.home.project, "book": "Shirley"})
    assert (denied.status, denied.json["detail"].count("lending.loan.create")) == (403, 1)
    assert (await ids(lending.home.admin), await ids(caller)) == (before, [])
    calls = (("GET", ""), ("POST", ":return"), ("GET", "/reminder"), ("DELETE", ""))
    unseen = [(await caller(method, f"lending/loans/{loan}{path}", json={})).status for method, path in calls]
    await grant(lending.api, lucy, "lending.loan.get", lending.home.project)
    seen = [(await caller(method, f"lending/loans/{loan}{path}", json={})).status for method, path in calls]
    assert (unseen, seen) == ([404] * 4, [200, 403, 403, 403])
    await made(caller.post("lending/loans", {"project_id": elsewhere, "book": "Shirley"}))


async def test_the_owner_of_a_row_needs_no_grant_for_it(lending: Lending) -> None:
    id = await user(lending.api, "jonathan", lending.home.organization)
    for permission in ("admin.project.get", "lending.loan.create"):
        await grant(lending.api, id, permission, lending.home.project)
    jonathan = lending.api.caller("jonathan")
    own_row, of_another = (
        await lend(jonathan, lending.home, "Carmilla"),
        await lend(lending.home.admin, lending.home, "Varney"),
    )
    assert await ids(jonathan) == [own_row]
    assert (await jonathan.get(f"lending/loans/{own_row}/reminder")).json["text"] == "Please return Carmilla."
    assert (await jonathan("DELETE", f"lending/loans/{of_another}")).status == 404
    assert (await jonathan("DELETE", f"lending/loans/{own_row}")).status == 204
    assert await ids(jonathan) == []


async def test_a_change_of_a_version_that_the_caller_did_not_see_is_refused(lending: Lending) -> None:
    admin = lending.home.admin
    loan = await lend(admin, lending.home, "Persuasion")
    seen = (await admin.get(f"lending/loans/{loan}")).headers["etag"]
    assert (await admin.post(f"lending/loans/{loan}:return", {}, headers={"if-match": seen})).status == 200
    late = await admin("DELETE", f"lending/loans/{loan}", headers={"if-match": seen})
    assert (late.status, late.reason) == (412, "PRECONDITION_FAILED")
    assert (
        await admin("DELETE", f"lending/loans/{loan}", headers={"if-match": late.json["metadata"]["etag"]})
    ).status == 204


async def test_events_name_the_row_and_its_scope(lending: Lending) -> None:
    loan = await lend(lending.home.admin, lending.home, "Frankenstein")
    await lending.home.admin.post(f"lending/loans/{loan}:return", {})
    with lending.api.database.read() as connection:
        found = connection.execute(sa.select(EVENT).where(EVENT.c.subject == loan).order_by(EVENT.c.sequence)).all()
    assert [event.type for event in found] == ["lending.loan.created", "lending.loan.returned"]
    assert {(event.organization_id, event.project_id) for event in found} == {
        (lending.home.organization, lending.home.project)
    }
