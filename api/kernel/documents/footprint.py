"""The footprint of a function: the tables that it may write and the events that it may add, by static analysis.

The analysis follows names: functions, methods of `self`, `unit`, and `ctx`, and sagas. It does not see functions that
are selected by a value at run time, and it includes branches that are rarely taken.
"""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import UpdateBase

from api.kernel.kinds import standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.sagas.saga import Saga
from core.db import Prepared
from core.events import Event

_PACKAGES = ("api", "core", "lakehouse", "rag", "serving", "federated")
_WRITES = ("insert", "update", "delete", "upsert")
_BY_NAME: Mapping[str, Any] = {"unit": Unit, "ctx": Context}
"""The classes of parameters, by their names in service functions."""

_METHODS: Mapping[Any, str] = {
    standard.create: "create",
    standard.insert: "create",
    standard.update: "update",
    standard.write: "update",
    standard.delete: "delete",
}
"""Functions that change resources of a kind and run its hooks, with the verb of these hooks."""


class Footprint:
    """The tables that functions may write, and the types of events that they may add."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self.events: set[str] = set()
        self._visited: set[tuple[FunctionType, type | None]] = set()

    def reaches(self, function: Callable[..., Any]) -> bool:
        """Returns whether the followed functions may call this function."""
        return any(function is visited for visited, _ in self._visited)

    def follow(self, value: Any, owner: type | None = None) -> None:
        """Adds the footprint of the value of a name. `owner` is the class if the value is a method."""
        if isinstance(value, Prepared):
            value = value.statement
        if isinstance(value, UpdateBase) and isinstance(value.table, sa.Table):
            self.tables.add(value.table.name)
        elif isinstance(value, Saga):
            for step in value.steps:
                self.follow(step.do)
                self.follow(step.undo)
        if isinstance(value, MethodType):
            owner = type(value.__self__)
        function = _function(value)
        if function is None or (function, owner) in self._visited:
            return
        self._visited.add((function, owner))
        if function.__module__.partition(".")[0] in _PACKAGES:
            cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
            values = {name: _content(cell) for name, cell in cells.items()}
            self._read(function.__code__, function.__globals__, {**_BY_NAME, "self": owner, "cls": owner} | values)

    def _read(self, code: CodeType, module: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        current: Any = None
        result: Any = None  # class of the last call: attributes of unknown values are looked up on it
        named: set[str] = set()
        changes = ""  # verb of the last function of `_METHODS`, for the kind that follows
        written = False  # whether the code writes a table that it does not name directly, as in `insert(TABLE)`
        for step in dis.get_instructions(code):
            if step.opname.startswith("LOAD_") and str(step.argval).lstrip("_") in _WRITES:
                written = written or not isinstance(current, sa.Table)
            if step.opname == "LOAD_GLOBAL":
                current = module.get(step.argval)
                if changes and isinstance(current, ResourceKind):
                    self._follow_hooks(current, changes)
                    changes = ""
                result = _result(current) or result
                self.follow(current)
            elif step.opname.startswith(("LOAD_FAST", "LOAD_DEREF")):
                current = values.get(step.argval)
                self.follow(current)
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                current = self._attribute(result if current is None else current, step.argval)
                result = _result(current) or result
            else:
                if isinstance(step.argval, CodeType):
                    self._read(step.argval, module, values)
                elif isinstance(step.argval, str) and (current is Event or current is Unit.emit):
                    # A type that ends like this is the start of an f-string.
                    self.events.add(f"{step.argval}*" if step.argval.endswith(("_", ".")) else step.argval)
                current = None if step.opname not in ("PRECALL", "PUSH_NULL") else current
            if isinstance(current, sa.Table):
                named.add(current.name)
            elif isinstance(current, FunctionType):
                changes = _METHODS.get(current, changes)
        if written:
            self.tables |= named

    def _follow_hooks(self, kind: ResourceKind[Any], verb: str) -> None:
        for validator in kind.validators if verb != "delete" else ():
            self.follow(validator)
        for _, hook in kind.hooks(verb):
            self.follow(hook)

    def _attribute(self, value: Any, name: str) -> Any:
        if isinstance(value, sa.Table):
            if name in _WRITES:
                self.tables.add(value.name)
            return None
        attribute = inspect.getattr_static(value, name, None)
        if not isinstance(value, ModuleType):
            self.follow(attribute, value if isinstance(value, type) else type(value))
        else:
            self.follow(attribute)
        return attribute


def _function(value: Any) -> FunctionType | None:
    """Returns the plain function behind a callable, or None."""
    while True:
        if isinstance(value, FunctionType):
            inner = getattr(value, "__wrapped__", None)
            if inner is None:
                return value
            value = inner
        elif isinstance(value, staticmethod | classmethod | MethodType):
            value = value.__func__
        elif isinstance(value, property):
            value = value.fget
        elif isinstance(value, functools.partial | functools.cached_property):
            value = value.func
        else:
            return None


def _result(value: Any) -> type | None:
    """Returns the class that a call returns, if an annotation names it."""
    if isinstance(value, type):
        return value if value.__module__.partition(".")[0] in _PACKAGES else None
    function = _function(value)
    annotated = function.__globals__.get(str(function.__annotations__.get("return"))) if function else None
    return annotated if isinstance(annotated, type) else None


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the name is not bound yet
        return None
