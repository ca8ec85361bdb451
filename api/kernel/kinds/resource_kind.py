"""A kind whose things the platform stores: one declaration gives it storage, history, permissions and methods.

    class Project(Resource[ProjectSpec, ProjectStatus]):
        \"\"\"A project: a part of an organization with tables, people and budgets of its own.\"\"\"

    PROJECT = ResourceKind(Project, plural="projects", example="prj_...", level=Level.ORGANIZATION)

    @PROJECT.transition("archive", request=Request, sources=(ProjectState.ACTIVE,), to=ProjectState.ARCHIVED)
    def archive_project(unit: Unit, project: Project, request: Request) -> None:
        \"\"\"Archives a project: nothing in it can be changed until it is unarchived.\"\"\"

Functions are plain and synchronous: they run inside the one transaction of their request, in a worker thread. What has
to wait for something outside is an ordinary `action`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from api.kernel.kinds import bulk, history, standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, Resource, Status
from api.kernel.kinds.rules import Rules
from api.kernel.kinds.shape import read, shape_of, written
from api.kernel.kinds.spec_field import filter_field
from api.kernel.kinds.standard import Method
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.conditions import FIELDS
from api.kernel.roles import Role
from api.kernel.storage.store import Stored

R = TypeVar("R", bound=Resource[Any, Any])
B = TypeVar("B", bound=Request)
Q = TypeVar("Q", bound=Query)
O = TypeVar("O", bound=Model)  # noqa: E741 - what comes out

SLUG = r"[a-z][a-z0-9-]{0,62}"
"""Names for people and URLs, in ASCII: no two of them look alike."""


class ResourceKind(Kind, Rules[R], Generic[R]):
    """One stored noun of a service."""

    def __init__(
        self,
        model: type[R],
        *,
        plural: str,
        prefix: str,
        level: Level,
        methods: frozenset[Method] = standard.ALL,
        opens: Level | None = None,
        named: bool = False,
        name: str = SLUG,
        initial: Callable[[], Status] | None = None,
        immutable: tuple[str, ...] = (),
        filter_by: tuple[str, ...] = (),
        references: tuple[Reference, ...] = (),
        writers: Role = Role.EDITOR,
        readers: Role = Role.VIEWER,
    ) -> None:
        """Declares the kind.

        Args:
            model: the resource class; its name and docstring are the kind's.
            plural: kebab-case plural, for URLs.
            prefix: three letters that its ids begin with.
            level: where its resources live.
            methods: the standard methods it has.
            opens: the level of scopes that it is itself, for organizations and projects.
            named: names are unique on the whole platform, so paths may say the name in place of the id.
            name: pattern of its names.
            initial: the status a new one has; by default the status class without arguments.
            immutable: fields of the spec that never change.
            filter_by: fields such as `spec.tier` or `status.state` to filter lists by, beside the common ones.
            references: fields of the spec that hold ids of other resources.
            writers: least built-in role that may create, change and delete.
            readers: least built-in role that may read.

        Raises:
            TypeError: a name is that of no field of the spec.
        """
        named_fields = {*immutable, *(reference.field for reference in references)}
        if unknown := named_fields - set(model.spec_type().model_fields):
            raise TypeError(f"the spec of {model.__name__} has no field {', '.join(sorted(unknown))}")
        title = re.sub(r"(?<!^)(?=[A-Z])", " ", model.__name__).capitalize()
        super().__init__(
            title.lower().replace(" ", "_"),
            plural=plural,
            title=title,
            description=inspect.getdoc(model) or "",
            example=f"{prefix}_06e1xq0000example000000000",
            filter_by=(*FIELDS, *filter_by),
            order_by=standard.ORDER,
            scoped=True,
        )
        Rules.__init__(self)
        self.model = model
        self.prefix = prefix
        self.level = level
        self.opens = opens
        self.named = named
        self.name_pattern = re.compile(name)
        self.initial: Callable[[], Status] = initial or model.status_type()
        self.immutable = immutable
        self.references = references
        self.writers = writers
        self.readers = readers
        self.methods = methods
        self.fields = FIELDS | {field: filter_field(model, field) for field in filter_by}
        self.listing = standard.listing(self)
        standard.declare(self)
        history.declare(self)
        bulk.declare(self)

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
        """`POST /plural/{id}:<verb>`: from one of the source states to another, answering the resource."""

        def hang(function: Callable[[Unit, R, B], None]) -> Callable[[Unit, R, B], None]:
            def work(unit: Unit, id: str, body: B) -> R:
                return standard.move(unit, self, verb, id, sources, to, lambda resource: function(unit, resource, body))

            self.hang_unit(
                Shape.ACTION,
                verb,
                work,
                function,
                request=request,
                result=self.model,
                past=past,
                role=role or self.writers,
            )
            return function

        return hang

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
        """`POST /plural/{id}:<verb>`: whatever else is done with one resource in a transaction.

        What the function changes of the resource is stored, with the kind's checks.
        """

        def hang(function: Callable[[Unit, R, B], O]) -> Callable[[Unit, R, B], O]:
            def work(unit: Unit, id: str, body: B) -> O:
                row = unit.row(self, id, permission=self.permission(verb))
                unit.subject(row)
                resource = self.resource(row)
                # Compared in the form of the classes: databases write the same documents with other spaces.
                before = self.stored(resource, scope_id=row.scope_id)
                result = function(unit, resource, body)
                if not reads and self.stored(resource, scope_id=row.scope_id) != before:
                    standard.write(unit, self, row, resource, verb)
                return result

            least = role or (self.readers if reads else self.writers)
            how: dict[str, Any] = {"request": request, "result": result, "past": past, "secret": secret}
            self.hang_unit(Shape.ACTION, verb, work, function, reads=reads, role=least, **how)
            return function

        return hang

    def on_deleted(
        self, verb: str, *, request: type[B], result: type[O], role: Role | None = None, past: str = ""
    ) -> Callable[[Callable[[Unit, R, B], O]], Callable[[Unit, R, B], O]]:
        """`POST /plural/{id}:<verb>` on a resource that was deleted, found by its id only."""

        def hang(function: Callable[[Unit, R, B], O]) -> Callable[[Unit, R, B], O]:
            def work(unit: Unit, id: str, body: B) -> O:
                row = unit.row(self, id, permission=self.permission(verb), deleted=True)
                unit.subject(row)
                return function(unit, self.resource(row), body)

            how: dict[str, Any] = {"request": request, "result": result, "past": past, "role": role or self.writers}
            self.hang_unit(Shape.ACTION, verb, work, function, **how)
            return function

        return hang

    def view(
        self, name: str, *, query: type[Q], result: type[O], role: Role | None = None
    ) -> Callable[[Callable[[Unit, R, Q], O]], Callable[[Unit, R, Q], O]]:
        """`GET /plural/{id}/<name>`: something that exists only as a part of the resource."""

        def hang(function: Callable[[Unit, R, Q], O]) -> Callable[[Unit, R, Q], O]:
            def work(unit: Unit, id: str, query: Q) -> O:
                return function(unit, self.get_for(unit, id, name), query)

            how: dict[str, Any] = {"query": query, "result": result}
            self.hang_unit(Shape.PART, name, work, function, reads=True, role=role or self.readers, **how)
            return function

        return hang

    def get_for(self, unit: Unit, id: str, verb: str) -> R:
        """The resource, if the caller may do this with it."""
        return unit.get(self, id, permission=self.permission(verb))

    def resource(self, row: Stored) -> R:
        """A row as the author's class."""
        return read(self.model, row.encode())

    @cached_property
    def shape(self) -> str:
        """The digest of the fields of its spec and status, which rows carry that were written with them."""
        return shape_of(self.model.spec_type(), self.model.status_type())

    def current(self, row: Stored) -> Stored:
        """The row with all fields that spec and status have by now: to be asked of each that is handed out.

        One that was written without some of them gets their defaults; its version and etag stay. What the classes
        refuse, since a migration was forgotten, stays as it was stored.
        """
        if row.shape == self.shape:
            return row
        try:
            spec, status = read(self.model.spec_type(), row.spec), read(self.model.status_type(), row.status)
        except ValidationError:
            return row
        return replace(row, spec=written(spec), status=written(status), shape=self.shape)

    def stored(self, resource: R, *, scope_id: str) -> Stored:
        """The author's class as a row."""
        state = getattr(resource.status, "state", None)
        return Stored(
            id=resource.id,
            kind=resource.kind,
            organization_id=resource.organization_id,
            project_id=resource.project_id,
            scope_id=scope_id,
            name=resource.name,
            owner=resource.owner,
            state=str(state) if state is not None else None,
            generation=resource.generation,
            version=resource.version,
            created_at=resource.created_at,
            created_by=resource.created_by,
            updated_at=resource.updated_at,
            updated_by=resource.updated_by,
            deleted_at=resource.deleted_at,
            labels=json.dumps(resource.labels, sort_keys=True),
            spec=written(resource.spec),
            status=written(resource.status),
            shape=self.shape,
        )

    def hang_unit(
        self,
        shape: Shape,
        verb: str,
        work: Callable[..., Any],
        declared: Callable[..., Any] | str,
        *,
        reads: bool = False,
        **how: Any,
    ) -> None:
        """Hangs a synchronous function that runs in the transaction of its request.

        `declared` is the author's function, which says what the operation does, or that text itself.
        """

        async def run(ctx: Context, *arguments: Any) -> Any:
            return await (ctx.read if reads else ctx.write)(lambda unit: work(unit, *arguments))

        if isinstance(declared, str):
            how |= {"text": declared, "declared": self.model}
        else:
            how |= {"declared": declared}
        self.hang(shape, verb, changes=not reads, **how)(run)
