"""A noun of a service, and the typed decorators that hang methods on it.

    ASSET = Kind("asset", plural="assets", title="Asset", description="...", example="flights.gold.route_delays")

    @ASSET.action("materialize", request=MaterializeAsset, long=True)
    async def materialize_asset(ctx: Context, asset: str, request: MaterializeAsset) -> Launch: ...

Each decorator is generic over the models it is given, so mypy refuses a function whose parameters or result differ
from the declaration. The function itself is returned unchanged.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Literal, TypeVar, overload

from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Answer, Endpoint, Shape
from api.kernel.kinds.rows import Rows
from api.kernel.kinds.streams import ServerEvent
from api.kernel.models import ListQuery, Model, Page, Query, Request
from api.kernel.operations.resource import Operation
from api.kernel.permissions.graph import Locator
from api.kernel.roles import Role
from api.kernel.sagas.saga import SagaCall
from core.errors import HeadwaterError, NotFound
from core.ports import Launch

Q = TypeVar("Q", bound=Query)
LQ = TypeVar("LQ", bound=ListQuery)
B = TypeVar("B", bound=Request)
R = TypeVar("R", bound=Model)
I = TypeVar("I")  # noqa: E741 - what goes in
O = TypeVar("O")  # noqa: E741 - what comes out
F = TypeVar("F", bound=Callable[..., Any])
W = TypeVar("W", bound="Launch | SagaCall[Any]")

OnCollection = Callable[[Context, I], Awaitable[O]]
OnItem = Callable[[Context, str, I], Awaitable[O]]
Lines = AsyncGenerator[bytes, None]
StreamOf = Callable[[Context, str, I], AsyncGenerator[ServerEvent, None]]


class Kind:
    """One noun. A `rooted` kind lives at `/api/v1/<plural>`, across the services.

    `locate` tells where an item stands in the tree of scopes, so that rights granted on a project or organization reach
    it; without it only rights on the whole platform do.
    """

    def __init__(
        self,
        name: str,
        *,
        plural: str,
        title: str,
        description: str,
        example: str,
        rooted: bool = False,
        locate: Locator | None = None,
        scoped: bool = False,
        filter_by: tuple[str, ...] = (),
        order_by: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.plural = plural
        self.plural_name = plural.replace("-", "_")
        self.title = title
        self.description = description
        self.example = example
        self.rooted = rooted
        self.service = ""
        """The service it belongs to; known once the service is made."""
        self.locate = locate
        self.scoped = scoped
        """Whether its functions check every item themselves, so that a right anywhere is enough to call them."""
        self.filter_by = filter_by
        self.order_by = order_by
        self._declared: list[Callable[[str], Endpoint]] = []

    def unknown(self, id: str) -> HeadwaterError:
        """The error for an id that nothing has, or nothing that the caller may know of."""
        return NotFound(f"There is no {self.title.lower()} {id!r}.")

    @property
    def full_name(self) -> str:
        """`<service>.<kind>`."""
        return f"{self.service}.{self.name}"

    def permission(self, verb: str) -> str:
        """Name of the right to do this with it."""
        return f"{self.full_name}.{verb.replace('-', '_')}"

    def endpoints(self, service: str) -> list[Endpoint]:
        """The declared operations as parts of a service, which the kind belongs to from then on."""
        self.service = service
        return [declare(service) for declare in self._declared]

    def list(
        self, *, query: type[LQ], item: type[R], role: Role = Role.VIEWER, own: bool = False
    ) -> Callable[[OnCollection[LQ, Page[R]]], OnCollection[LQ, Page[R]]]:
        """`GET /plural`."""
        return self.hang(Shape.LIST, "list", query=query, result=Page[item], role=role, own=own)  # type: ignore[valid-type]

    def get(
        self, *, result: type[R], role: Role = Role.VIEWER, own: bool = False
    ) -> Callable[[Callable[[Context, str], Awaitable[R]]], Callable[[Context, str], Awaitable[R]]]:
        """`GET /plural/{id}`."""
        return self.hang(Shape.GET, "get", result=result, role=role, own=own)

    def create(
        self, *, request: type[B], result: type[R], role: Role = Role.EDITOR, secret: bool = False, own: bool = False
    ) -> Callable[[OnCollection[B, R]], OnCollection[B, R]]:
        """`POST /plural`. A `secret` answer is shown once and never stored for a replay."""
        how = {"request": request, "result": result, "role": role, "changes": True, "secret": secret, "own": own}
        return self.hang(Shape.CREATE, "create", **how)

    def update(
        self, *, request: type[B], result: type[R], role: Role = Role.EDITOR, own: bool = False
    ) -> Callable[[OnItem[B, R]], OnItem[B, R]]:
        """`PATCH /plural/{id}`: JSON merge-patch; `request.model_fields_set` tells absent from null."""
        return self.hang(Shape.UPDATE, "update", request=request, result=result, role=role, own=own, changes=True)

    def delete(
        self, *, role: Role = Role.EDITOR, own: bool = False
    ) -> Callable[[Callable[[Context, str], Awaitable[None]]], Callable[[Context, str], Awaitable[None]]]:
        """`DELETE /plural/{id}`, answering 204."""
        return self.hang(Shape.DELETE, "delete", answer=Answer.NOTHING, role=role, own=own, changes=True)

    def part(
        self, name: str, *, query: type[Q], result: type[R], role: Role = Role.VIEWER, own: bool = False
    ) -> Callable[[OnItem[Q, R]], OnItem[Q, R]]:
        """`GET /plural/{id}/<name>`: something that exists only as a part of the item."""
        return self.hang(Shape.PART, name, query=query, result=result, role=role, own=own)

    def rows(
        self, name: str, *, query: type[Q], result: type[R], role: Role = Role.VIEWER
    ) -> Callable[[OnItem[Q, Rows[R]]], OnItem[Q, Rows[R]]]:
        """A part made of rows: JSON, or an Arrow IPC stream if `Accept` asks for it."""
        return self.hang(Shape.PART, name, query=query, result=result, answer=Answer.ROWS, role=role)

    def collection_read(
        self, verb: str, *, query: type[Q], result: type[R], role: Role = Role.VIEWER, own: bool = False
    ) -> Callable[[OnCollection[Q, R]], OnCollection[Q, R]]:
        """`GET /plural:<verb>`: something that the whole collection has, such as counts."""
        return self.hang(Shape.COLLECTION_READ, verb, query=query, result=result, role=role, own=own)

    def file(
        self, verb: str, *, query: type[Q], role: Role = Role.VIEWER
    ) -> Callable[[OnCollection[Q, Lines]], OnCollection[Q, Lines]]:
        """`GET /plural:<verb>`: lines to keep, streamed; CSV if the query says `format=csv`."""
        return self.hang(Shape.COLLECTION_READ, verb, query=query, answer=Answer.FILE, role=role)

    def lines(
        self, name: str, *, query: type[Q], role: Role = Role.VIEWER
    ) -> Callable[[OnItem[Q, Lines]], OnItem[Q, Lines]]:
        """A part to keep as a file: it is sent as it is made, a line after the other."""
        return self.hang(Shape.PART, name, query=query, answer=Answer.FILE, role=role)

    def stream(
        self, name: str, *, query: type[Q], event: type[R], role: Role = Role.VIEWER
    ) -> Callable[[StreamOf[Q]], StreamOf[Q]]:
        """A part that keeps coming: server-sent events whose data is an `event`; resumes after `Last-Event-ID`."""
        return self.hang(Shape.PART, name, query=query, result=event, answer=Answer.STREAM, role=role)

    @overload
    def action(
        self,
        verb: str,
        *,
        request: type[B],
        result: type[R],
        reads: bool = ...,
        role: Role | None = ...,
        past: str = ...,
        own: bool = ...,
        secret: bool = ...,
        timeout_seconds: float = ...,
    ) -> Callable[[OnItem[B, R]], OnItem[B, R]]: ...

    @overload
    def action(
        self, verb: str, *, request: type[B], long: Literal[True], role: Role | None = ..., past: str = ...
    ) -> Callable[[OnItem[B, W]], OnItem[B, W]]: ...

    def action(self, verb: str, **how: Any) -> Any:
        """`POST /plural/{id}:<verb>`.

        `reads` marks one that changes nothing, so viewers may call it. A `long` one answers 202 with an operation and
        its function returns what to launch, or a saga with its input. `past` is the past tense of the verb
        where `-ed` would be wrong.
        """
        return self._act(Shape.ACTION, verb, **how)

    @overload
    def collection_action(
        self,
        verb: str,
        *,
        request: type[B],
        result: type[R],
        reads: bool = ...,
        role: Role | None = ...,
        past: str = ...,
        name: str = ...,
        public: bool = ...,
        own: bool = ...,
        secret: bool = ...,
    ) -> Callable[[OnCollection[B, R]], OnCollection[B, R]]: ...

    @overload
    def collection_action(
        self, verb: str, *, request: type[B], long: Literal[True], role: Role | None = ..., past: str = ...
    ) -> Callable[[OnCollection[B, W]], OnCollection[B, W]]: ...

    def collection_action(self, verb: str, **how: Any) -> Any:
        """`POST /plural:<verb>`; `public` needs no login, `name` is what SDKs call it. The rest as `action`."""
        return self._act(Shape.COLLECTION_ACTION, verb, **how)

    def _act(
        self,
        shape: Shape,
        verb: str,
        *,
        reads: bool = False,
        long: bool = False,
        role: Role | None = None,
        past: str = "",
        **how: Any,
    ) -> Any:
        if long:
            # Accepted is not done: the operation's own event tells how it ended.
            past = past or f"{verb.replace('-', '_')}_requested"
            how |= {"answer": Answer.OPERATION, "result": Operation}
        role = role or (Role.VIEWER if reads else Role.EDITOR)
        return self.hang(shape, verb, changes=not reads, role=role, past=past, **how)

    def hang(self, shape: Shape, verb: str, **how: Any) -> Callable[[F], F]:
        """Hangs an operation of any shape; the decorators above are the typed ways to do so."""

        def hang(function: F) -> F:
            self._declared.append(
                lambda service: Endpoint(service=service, kind=self, shape=shape, verb=verb, function=function, **how)
            )
            return function

        return hang
