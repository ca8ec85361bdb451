"""A kind that the platform stores: one declaration gives it storage, history, permissions, and standard methods.

    class Project(Resource[ProjectSpec, ProjectStatus]):
        \"\"\"A project: a part of an organization with its own tables, users, and budgets.\"\"\"

    PROJECT = ResourceKind(Project, plural="projects", prefix="prj", level=Level.ORGANIZATION)

    @PROJECT.transition("archive", request=Request, sources=(ProjectState.ACTIVE,), to=ProjectState.ARCHIVED)
    def archive_project(unit: Unit, project: Project, request: Request) -> None:
        \"\"\"Archives a project: nothing in it can be changed until it is unarchived.\"\"\"

Functions are synchronous: they run in the one transaction of their request, in a worker thread. A function that waits
for something outside the metadata database is an `action`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Generic, TypeVar

from typing_extensions import override

from api.kernel.kinds import batch, export, history, standard, watch
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.resource import Resource
from api.kernel.kinds.rules import RuledKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.roles import Role

R = TypeVar("R", bound=Resource[Any, Any])
B = TypeVar("B", bound=Request)
Q = TypeVar("Q", bound=Query)
O = TypeVar("O", bound=Model)  # noqa: E741 - output


class ResourceKind(RuledKind[R], Generic[R]):
    """A stored kind with its standard methods, and decorators for further ones. Takes the arguments of `StoredKind`."""

    @override
    def _register_methods(self) -> None:
        for method in (standard, history, batch, export, watch):
            method.declare(self)

    def transition(
        self,
        verb: str,
        *,
        request: type[B],
        sources: tuple[StrEnum, ...],
        to: StrEnum,
        role: Role | None = None,
        past: str = "",
    ) -> Callable[[Callable[[Unit, R, B], None]], Callable[[Unit, R, B], None]]:
        """`POST /plural/{id}:<verb>`: moves the resource from one of the source states to another, and returns it."""

        def runs(function: Callable[[Unit, R, B], None]) -> Callable[[Unit, str, B], R]:
            return lambda unit, id, body: standard.move(
                unit, self, verb, id, sources, to, lambda resource: function(unit, resource, body)
            )

        return self.in_transaction(Shape.ACTION, verb, runs, request=request, result=self.model, past=past, role=role)

    def command(
        self,
        verb: str,
        *,
        request: type[B],
        result: type[O],
        reads: bool = False,
        role: Role | None = None,
        past: str = "",
        secret: bool = False,
    ) -> Callable[[Callable[[Unit, R, B], O]], Callable[[Unit, R, B], O]]:
        """`POST /plural/{id}:<verb>`: another action on one resource, in a transaction.

        Changes that the function makes to the resource are stored, after the validators and hooks of the kind.
        """

        def runs(function: Callable[[Unit, R, B], O]) -> Callable[[Unit, str, B], O]:
            def run(unit: Unit, id: str, body: B) -> O:
                row = unit.row(self, id, permission=self.permission(verb))
                unit.subject(row)
                resource = self.resource(row)
                # Both are written by the classes: databases format the same document differently.
                before = self.stored(resource, scope_id=row.scope_id)
                result = function(unit, resource, body)
                if not reads and self.stored(resource, scope_id=row.scope_id) != before:
                    standard.write(unit, self, row, resource, verb)
                return result

            return run

        options: dict[str, Any] = {"request": request, "result": result, "past": past, "secret": secret}
        return self.in_transaction(Shape.ACTION, verb, runs, reads=reads, role=role, **options)

    def on_deleted(
        self, verb: str, *, request: type[B], result: type[O], role: Role | None = None, past: str = ""
    ) -> Callable[[Callable[[Unit, R, B], O]], Callable[[Unit, R, B], O]]:
        """`POST /plural/{id}:<verb>`: an action on a deleted resource, which only its id can name."""

        def runs(function: Callable[[Unit, R, B], O]) -> Callable[[Unit, str, B], O]:
            def run(unit: Unit, id: str, body: B) -> O:
                row = unit.row(self, id, permission=self.permission(verb), deleted=True)
                unit.subject(row)
                return function(unit, self.resource(row), body)

            return run

        return self.in_transaction(Shape.ACTION, verb, runs, request=request, result=result, past=past, role=role)

    def view(
        self, name: str, *, query: type[Q], result: type[O], role: Role | None = None
    ) -> Callable[[Callable[[Unit, R, Q], O]], Callable[[Unit, R, Q], O]]:
        """`GET /plural/{id}/<name>`: a part of the resource."""

        def runs(function: Callable[[Unit, R, Q], O]) -> Callable[[Unit, str, Q], O]:
            return lambda unit, id, query: function(unit, self.get_for(unit, id, name), query)

        return self.in_transaction(Shape.PART, name, runs, reads=True, query=query, result=result, role=role)

    def get_for(self, unit: Unit, id: str, verb: str) -> R:
        """Returns the resource if the caller holds the permission of `verb` on it. Raises as `Unit.row`."""
        return unit.get(self, id, permission=self.permission(verb))
