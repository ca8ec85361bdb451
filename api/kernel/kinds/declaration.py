"""What a kind registers: its operations, and what runs for each in the transaction of its request."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, TypeVar

from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Endpoint, Shape
from api.kernel.kinds.noun import Noun
from api.kernel.roles import Role

F = TypeVar("F", bound=Callable[..., Any])


class Declaration(Noun):
    """A noun and the operations registered for it."""

    readers: Role = Role.VIEWER
    """The least built-in role that may read items of a kind that the platform stores."""

    writers: Role = Role.EDITOR
    """The least built-in role that may change them."""

    @cached_property
    def _declared(self) -> list[partial[Endpoint]]:
        return []

    def endpoints(self, service: str) -> list[Endpoint]:
        """Returns the declared operations as endpoints of a service, and makes the kind belong to that service."""
        self.service = service
        return [declare(service=service) for declare in self._declared]

    def register(self, shape: Shape, verb: str, **options: Any) -> Callable[[F], F]:
        """Registers an operation of any shape. The decorators of `Kind` are the typed ways to do so."""
        options.setdefault("power", self.powers.get(verb))

        def register(function: F) -> F:
            self._declared.append(partial(Endpoint, kind=self, shape=shape, verb=verb, function=function, **options))
            return function

        return register

    def register_unit(
        self,
        shape: Shape,
        verb: str,
        function: Callable[..., Any],
        declared: Callable[..., Any],
        *,
        reads: bool = False,
        **options: Any,
    ) -> None:
        """Registers a synchronous function that runs in the transaction of its request.

        A change of an item checks `If-Match` by `Call.require_match`.

        Args:
            shape: the form of the operation.
            verb: its verb.
            function: takes the unit of work and the input.
            declared: the author's function or class, whose docstring documents the operation unless there is a `text`.
            reads: whether the function only reads.
            options: further fields of the endpoint.
        """

        async def run(ctx: Context, *arguments: Any) -> Any:
            return await (ctx.read if reads else ctx.write)(lambda unit: function(unit, *arguments))

        options.setdefault("versioned", shape.on_item and not reads)
        self.register(shape, verb, changes=not reads, declared=declared, **options)(run)

    def in_transaction(
        self,
        shape: Shape,
        verb: str,
        runs: Callable[[F], Callable[..., Any]],
        *,
        reads: bool = False,
        role: Role | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Returns a decorator that registers what runs for a function, as `register_unit` does.

        Args:
            shape: the form of the operation.
            verb: its verb.
            runs: returns the function that takes the unit of work, the id, and the input, and calls the author's one.
            reads: whether the function only reads.
            role: the least built-in role that may call it. Defaults to the readers or the writers of the kind.
            options: further fields of the endpoint.
        """

        def register(function: F) -> F:
            least = role or (self.readers if reads else self.writers)
            self.register_unit(shape, verb, runs(function), function, reads=reads, role=least, **options)
            return function

        return register
