"""A kind: a noun of a service, with the typed decorators that register its operations.

    ASSET = Kind("asset", plural="assets", title="Asset", description="...", example="flights.gold.route_delays")

    @ASSET.action("materialize", request=MaterializeAsset, long=True)
    async def materialize_asset(ctx: Context, asset: str, request: MaterializeAsset) -> Launch: ...

Each decorator is generic over its models, so mypy refuses a function whose parameters or result differ from the
declaration. The decorators return the function unchanged.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Literal, TypeVar, overload

from api.kernel.kinds.context import Context
from api.kernel.kinds.declaration import Declaration
from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.rows import Rows
from api.kernel.kinds.streams import ServerEvent
from api.kernel.models import ListQuery, Model, Page, Query, Request
from api.kernel.operations.resource import Operation
from api.kernel.operations.stored_launch import StoredLaunch
from api.kernel.roles import Role
from api.kernel.sagas.saga import SagaCall
from core.runs import Launch

Q = TypeVar("Q", bound=Query)
LQ = TypeVar("LQ", bound=ListQuery)
B = TypeVar("B", bound=Request)
R = TypeVar("R", bound=Model)
I = TypeVar("I")  # noqa: E741 - input
O = TypeVar("O")  # noqa: E741 - output
W = TypeVar("W", bound="Launch | StoredLaunch | SagaCall[Any]")

OnCollection = Callable[[Context, I], Awaitable[O]]
OnItem = Callable[[Context, str, I], Awaitable[O]]
Lines = AsyncGenerator[bytes, None]
StreamOf = Callable[[Context, str, I], AsyncGenerator[ServerEvent, None]]


class Kind(Declaration):
    """A kind with its operations."""

    def list(
        self, *, query: type[LQ], item: type[R], role: Role = Role.VIEWER, own: bool = False
    ) -> Callable[[OnCollection[LQ, Page[R]]], OnCollection[LQ, Page[R]]]:
        """`GET /plural`."""
        return self.register(Shape.LIST, "list", query=query, result=Page[item], role=role, own=own)  # type: ignore[valid-type]

    def get(
        self, *, result: type[R], role: Role = Role.VIEWER, own: bool = False
    ) -> Callable[[Callable[[Context, str], Awaitable[R]]], Callable[[Context, str], Awaitable[R]]]:
        """`GET /plural/{id}`."""
        return self.register(Shape.GET, "get", result=result, role=role, own=own)

    def create(
        self,
        *,
        request: type[B],
        result: type[R],
        role: Role = Role.EDITOR,
        secret: bool = False,
        own: bool = False,
        past: str = "",
    ) -> Callable[[OnCollection[B, R]], OnCollection[B, R]]:
        """`POST /plural`. A `secret` response is returned once and never stored for a replay.

        `past` replaces `created` in the type of the event.
        """
        return self.register(
            Shape.CREATE,
            "create",
            request=request,
            result=result,
            role=role,
            changes=True,
            secret=secret,
            own=own,
            past=past,
        )

    def update(
        self,
        *,
        request: type[B],
        result: type[R],
        role: Role = Role.EDITOR,
        own: bool = False,
        versioned: bool = False,
    ) -> Callable[[OnItem[B, R]], OnItem[B, R]]:
        """`PATCH /plural/{id}`: JSON merge-patch. `request.model_fields_set` distinguishes absent from null."""
        return self.register(
            Shape.UPDATE,
            "update",
            request=request,
            result=result,
            role=role,
            own=own,
            changes=True,
            versioned=versioned,
        )

    def delete(
        self, *, role: Role = Role.EDITOR, own: bool = False, past: str = "", versioned: bool = False
    ) -> Callable[[Callable[[Context, str], Awaitable[None]]], Callable[[Context, str], Awaitable[None]]]:
        """`DELETE /plural/{id}`, with status 204. `past` replaces `deleted` in the type of the event."""
        return self.register(
            Shape.DELETE,
            "delete",
            answer=Answer.NOTHING,
            role=role,
            own=own,
            changes=True,
            past=past,
            versioned=versioned,
        )

    def part(
        self, name: str, *, query: type[Q], result: type[R], role: Role = Role.VIEWER, own: bool = False
    ) -> Callable[[OnItem[Q, R]], OnItem[Q, R]]:
        """`GET /plural/{id}/<name>`: a part of the item."""
        return self.register(Shape.PART, name, query=query, result=result, role=role, own=own)

    def rows(
        self, name: str, *, query: type[Q], result: type[R], role: Role = Role.VIEWER
    ) -> Callable[[OnItem[Q, Rows[R]]], OnItem[Q, Rows[R]]]:
        """A part that consists of rows: JSON, or an Arrow IPC stream or a Parquet file if `Accept` asks for it."""
        return self.register(Shape.PART, name, query=query, result=result, answer=Answer.ROWS, role=role)

    def collection_read(
        self, verb: str, *, query: type[Q], result: type[R], role: Role = Role.VIEWER, own: bool = False
    ) -> Callable[[OnCollection[Q, R]], OnCollection[Q, R]]:
        """`GET /plural:<verb>`: a property of the whole collection, such as counts."""
        return self.register(Shape.COLLECTION_READ, verb, query=query, result=result, role=role, own=own)

    def file(
        self, verb: str, *, query: type[Q], role: Role = Role.VIEWER
    ) -> Callable[[OnCollection[Q, Lines]], OnCollection[Q, Lines]]:
        """`GET /plural:<verb>`: a file, streamed line by line; CSV if the query contains `format=csv`."""
        return self.register(Shape.COLLECTION_READ, verb, query=query, answer=Answer.FILE, role=role)

    def lines(
        self, name: str, *, query: type[Q], role: Role = Role.VIEWER
    ) -> Callable[[OnItem[Q, Lines]], OnItem[Q, Lines]]:
        """A part that is a file, streamed line by line."""
        return self.register(Shape.PART, name, query=query, answer=Answer.FILE, role=role)

    def binary(
        self, name: str, *, query: type[Q], role: Role = Role.VIEWER
    ) -> Callable[[OnItem[Q, Lines]], OnItem[Q, Lines]]:
        """A part that is a binary file, such as an archive, streamed in chunks."""
        return self.register(Shape.PART, name, query=query, answer=Answer.BINARY, role=role)

    def stream(
        self, name: str, *, query: type[Q], event: type[R], role: Role = Role.VIEWER
    ) -> Callable[[StreamOf[Q]], StreamOf[Q]]:
        """A part that is a stream of server-sent events whose data is an `event`. Resumes after `Last-Event-ID`."""
        return self.register(Shape.PART, name, query=query, result=event, answer=Answer.STREAM, role=role)

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
        outside: bool = ...,
        versioned: bool = ...,
    ) -> Callable[[OnItem[B, R]], OnItem[B, R]]: ...

    @overload
    def action(
        self, verb: str, *, request: type[B], long: Literal[True], role: Role | None = ..., past: str = ...
    ) -> Callable[[OnItem[B, W]], OnItem[B, W]]: ...

    def action(self, verb: str, **options: Any) -> Any:
        """`POST /plural/{id}:<verb>`.

        `reads` marks an action that changes nothing, so that viewers can call it. A `long` action responds with 202 and
        an operation; its function returns what to launch, or a saga with its input. `past` is the past tense of the
        verb where `-ed` would be wrong. An action that changes something `outside` the metadata database does not
        support `validate_only`. A `versioned` action checks `If-Match` by `Call.require_match`.
        """
        return self._act(Shape.ACTION, verb, **options)

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

    @overload
    def collection_action(
        self, verb: str, *, request: type[B], result: type[R], rows: Literal[True], own: bool = ...
    ) -> Callable[[OnCollection[B, Rows[R]]], OnCollection[B, Rows[R]]]: ...

    def collection_action(self, verb: str, **options: Any) -> Any:
        """`POST /plural:<verb>`. The options are those of `action`.

        A `public` action needs no login. `name` is its name in SDKs. An action with `rows` changes nothing and returns
        JSON, or an Arrow IPC stream or a Parquet file if `Accept` asks for it.
        """
        return self._act(Shape.COLLECTION_ACTION, verb, **options)

    def _act(
        self,
        shape: Shape,
        verb: str,
        *,
        reads: bool = False,
        rows: bool = False,
        long: bool = False,
        role: Role | None = None,
        past: str = "",
        **options: Any,
    ) -> Any:
        if rows:
            reads, options["answer"] = True, Answer.ROWS
        if long:
            # The operation has an event for its end.
            past = past or f"{verb.replace('-', '_')}_requested"
            options |= {"answer": Answer.OPERATION, "result": Operation}
        role = role or (Role.VIEWER if reads else Role.EDITOR)
        return self.register(shape, verb, changes=not reads, role=role, past=past, **options)
