"""What a function writes and tells, read from its code: nothing is run.

Calls are followed as far as names lead: functions, methods of `self`, `unit` and `ctx`, sagas. What is chosen by a
value at run time is not seen, and a branch that is rarely taken counts like any other: it says what may be written.
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

_OURS = ("api", "core", "lakehouse", "rag", "serving", "federated")
_WRITES = ("insert", "update", "delete", "put")
_BY_NAME: Mapping[str, Any] = {"unit": Unit, "ctx": Context}
"""What the functions of services call the things they are given."""

_METHODS: Mapping[Any, str] = {
    standard.create: "create",
    standard.insert: "create",
    standard.update: "update",
    standard.write: "update",
    standard.delete: "delete",
}
"""Functions that change a kind they are given, with its hooks."""


class Footprint:
    """The tables that functions may write, and the types of the events that they add."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self.events: set[str] = set()
        self._seen: set[tuple[FunctionType, type | None]] = set()

    def reaches(self, function: Callable[..., Any]) -> bool:
        """Whether what was followed may call this function."""
        return any(function is seen for seen, _ in self._seen)

    def follow(self, thing: Any, owner: type | None = None) -> None:
        """Takes in whatever a name stands for; `owner` is the class of which it is a method."""
        if isinstance(thing, Prepared):
            thing = thing.statement
        if isinstance(thing, UpdateBase) and isinstance(thing.table, sa.Table):
            self.tables.add(thing.table.name)
        elif isinstance(thing, Saga):
            for step in thing.steps:
                self.follow(step.do)
                self.follow(step.undo)
        if isinstance(thing, MethodType):
            owner = type(thing.__self__)
        function = _function(thing)
        if function is None or (function, owner) in self._seen:
            return
        self._seen.add((function, owner))
        if function.__module__.partition(".")[0] in _OURS:
            cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
            known = {name: _content(cell) for name, cell in cells.items()}
            self._read(function.__code__, function.__globals__, {**_BY_NAME, "self": owner, "cls": owner} | known)

    def _read(self, code: CodeType, module: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        here: Any = None
        made: Any = None  # what was last called into being: attributes of something unknown are taken for its
        named: set[str] = set()
        changes = ""  # what the function just named does with the kind that is named next
        written = False  # some table, and which one is not said: `insert(TABLE)`, or each one of a list
        for step in dis.get_instructions(code):
            if step.opname.startswith("LOAD_") and str(step.argval).lstrip("_") in _WRITES:
                written = written or not isinstance(here, sa.Table)
            if step.opname == "LOAD_GLOBAL":
                here = module.get(step.argval)
                if changes and isinstance(here, ResourceKind):
                    self._follow_hooks(here, changes)
                    changes = ""
                made = _result(here) or made
                self.follow(here)
            elif step.opname.startswith(("LOAD_FAST", "LOAD_DEREF")):
                here = known.get(step.argval)
                self.follow(here)
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                here = self._attribute(made if here is None else here, step.argval)
                made = _result(here) or made
            else:
                if isinstance(step.argval, CodeType):
                    self._read(step.argval, module, known)
                elif isinstance(step.argval, str) and (here is Event or here is Unit.emit):
                    # What begins so and has no end yet is put together of parts.
                    self.events.add(f"{step.argval}*" if step.argval.endswith(("_", ".")) else step.argval)
                here = None if step.opname not in ("PRECALL", "PUSH_NULL") else here
            if isinstance(here, sa.Table):
                named.add(here.name)
            elif isinstance(here, FunctionType):
                changes = _METHODS.get(here, changes)
        if written:
            self.tables |= named

    def _follow_hooks(self, kind: ResourceKind[Any], verb: str) -> None:
        for validator in kind.validators if verb != "delete" else ():
            self.follow(validator)
        for _, hook in kind.hooks(verb):
            self.follow(hook)

    def _attribute(self, thing: Any, name: str) -> Any:
        if isinstance(thing, sa.Table):
            if name in _WRITES:
                self.tables.add(thing.name)
            return None
        found = inspect.getattr_static(thing, name, None)
        if not isinstance(thing, ModuleType):
            self.follow(found, thing if isinstance(thing, type) else type(thing))
        else:
            self.follow(found)
        return found


def _function(thing: Any) -> FunctionType | None:
    """The plain function behind what is called."""
    while True:
        if isinstance(thing, FunctionType):
            inner = getattr(thing, "__wrapped__", None)
            if inner is None:
                return thing
            thing = inner
        elif isinstance(thing, staticmethod | classmethod | MethodType):
            thing = thing.__func__
        elif isinstance(thing, property):
            thing = thing.fget
        elif isinstance(thing, functools.partial | functools.cached_property):
            thing = thing.func
        else:
            return None


def _result(thing: Any) -> type | None:
    """The class of what a call answers, where the code says so."""
    if isinstance(thing, type):
        return thing if thing.__module__.partition(".")[0] in _OURS else None
    function = _function(thing)
    found = function.__globals__.get(str(function.__annotations__.get("return"))) if function else None
    return found if isinstance(found, type) else None


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is bound later
        return None
