"""The rules of a stored kind: functions of its author that check and follow every change."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, TypeVar

from api.kernel.kinds.kind import Kind
from api.kernel.kinds.resource import Resource
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.kinds.unit import Unit

R = TypeVar("R", bound=Resource[Any, Any])

Validator = Callable[[Unit, R, R | None], None]
Hook = Callable[[Unit, R], None]


class RuledKind(StoredKind[R], Kind, Generic[R]):
    """A stored kind with validators and hooks. They run in the transaction of the change, and refuse it by raising."""

    @cached_property
    def validators(self) -> list[Validator[R]]:
        """The validators, in order of declaration."""
        return []

    @cached_property
    def _before(self) -> dict[str, list[Hook[R]]]:
        return {}

    @cached_property
    def _after(self) -> dict[str, list[Hook[R]]]:
        return {}

    def validate(self, function: Validator[R]) -> Validator[R]:
        """Registers a check of every new and changed resource. Its third argument is the resource before, or None."""
        self.validators.append(function)
        return function

    def before(self, *methods: str) -> Callable[[Hook[R]], Hook[R]]:
        """Registers a hook that runs before the change is written. It can change the resource."""
        return _appending(self._before, methods)

    def after(self, *methods: str) -> Callable[[Hook[R]], Hook[R]]:
        """Registers a hook that runs after the change is written, in the same transaction."""
        return _appending(self._after, methods)

    def run_before(self, method: str, unit: Unit, resource: R) -> None:
        """Runs the hooks of a method."""
        for hook in self._before.get(method, ()):
            hook(unit, resource)

    def run_after(self, method: str, unit: Unit, resource: R) -> None:
        """Runs the hooks of a method."""
        for hook in self._after.get(method, ()):
            hook(unit, resource)

    def hooks(self, method: str) -> list[tuple[str, Hook[R]]]:
        """Returns the hooks of a method, in order, each with `before` or `after`."""
        return [
            *(("before", hook) for hook in self._before.get(method, ())),
            *(("after", hook) for hook in self._after.get(method, ())),
        ]


def _appending(hooks: dict[str, list[Hook[R]]], methods: tuple[str, ...]) -> Callable[[Hook[R]], Hook[R]]:
    def append(function: Hook[R]) -> Hook[R]:
        for method in methods:
            hooks.setdefault(method, []).append(function)
        return function

    return append
