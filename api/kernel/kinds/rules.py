"""The rules of a kind: functions of its author that check and follow what is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from api.kernel.kinds.resource import Resource
from api.kernel.kinds.unit import Unit

R = TypeVar("R", bound=Resource[Any, Any])


class Rules(Generic[R]):
    """Validators and hooks. They run in the transaction of the change, and refuse by raising."""

    def __init__(self) -> None:
        self.validators: list[Callable[[Unit, R, R | None], None]] = []
        self._before: dict[str, list[Callable[[Unit, R], None]]] = {}
        self._after: dict[str, list[Callable[[Unit, R], None]]] = {}

    def validate(self, function: Callable[[Unit, R, R | None], None]) -> Callable[[Unit, R, R | None], None]:
        """Checks every new and changed resource; the third argument is what it was, None for a new one."""
        self.validators.append(function)
        return function

    def before(self, *methods: str) -> Callable[[Callable[[Unit, R], None]], Callable[[Unit, R], None]]:
        """Runs before the change is written. May change the resource, or refuse by raising."""
        return self._hook(self._before, methods)

    def after(self, *methods: str) -> Callable[[Callable[[Unit, R], None]], Callable[[Unit, R], None]]:
        """Runs after the change was written, in the same transaction."""
        return self._hook(self._after, methods)

    def run_before(self, method: str, unit: Unit, resource: R) -> None:
        """Runs the hooks of a method."""
        for hook in self._before.get(method, ()):
            hook(unit, resource)

    def run_after(self, method: str, unit: Unit, resource: R) -> None:
        """Runs the hooks of a method."""
        for hook in self._after.get(method, ()):
            hook(unit, resource)

    def hooks(self, method: str) -> list[tuple[str, Callable[..., None]]]:
        """What runs before and after a method is written, in order, each with which of the two it is."""
        return [
            *(("before", hook) for hook in self._before.get(method, ())),
            *(("after", hook) for hook in self._after.get(method, ())),
        ]

    def _hook(
        self, hooks: dict[str, list[Callable[[Unit, R], None]]], methods: tuple[str, ...]
    ) -> Callable[[Callable[[Unit, R], None]], Callable[[Unit, R], None]]:
        def hang(function: Callable[[Unit, R], None]) -> Callable[[Unit, R], None]:
            for method in methods:
                hooks.setdefault(method, []).append(function)
            return function

        return hang
