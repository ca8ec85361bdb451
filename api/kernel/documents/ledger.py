"""Explanations of operations and mounts, for the reference page and for `headwater explain`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from api.kernel.documents.footprint import Footprint
from api.kernel.kinds import standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Answer, Endpoint, Shape, source_of
from api.kernel.kinds.registry import Mount, Registry
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.service import Service
from api.kernel.kinds.stored_kind import Method
from api.kernel.lookup import close_names
from api.kernel.operations.engine import Operations
from core.errors import NotFound

EVERY_OPERATION = "tests/conformance/test_every_operation.py"
"""The tests of permissions and malformed input, which cover every operation."""

_SHAPES = {
    Shape.LIST: Method.LIST,
    Shape.GET: Method.GET,
    Shape.CREATE: Method.CREATE,
    Shape.UPDATE: Method.UPDATE,
    Shape.DELETE: Method.DELETE,
}
_VERBS = {
    "restore": Method.RESTORE,
    "revisions": Method.HISTORY,
    "batch": Method.BATCH,
    "watch": Method.WATCH,
    "export": Method.EXPORT,
}
_MARK = re.compile(r"pytest\.mark\.(effect|standard)")


class MethodKind(StrEnum):
    """Kind of a method."""

    STANDARD = "standard"
    """A method that is uniform over all kinds that have it."""

    CUSTOM = "custom"
    """A method of one kind."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The tests of operations, as `file::name` from the root of the repository."""

    effects: dict[str, list[str]] = field(default_factory=dict)
    """Tests with the mark `effect`, by operation id."""

    methods: dict[str, list[str]] = field(default_factory=dict)
    """Tests with the mark `standard`, by standard method of stored kinds."""

    def of(self, endpoint: Endpoint) -> list[str]:
        """Returns the tests of an operation, or those of all operations if it has no separate tests."""
        tests = list(self.effects.get(endpoint.operation_id, ()))
        method = method_of(endpoint)
        if method and isinstance(endpoint.kind, ResourceKind):
            tests += self.methods.get(method.value, ())
        return tests or [EVERY_OPERATION]


def method_of(endpoint: Endpoint) -> Method | None:
    """Returns the standard method of an operation, or None if it is a custom method."""
    if endpoint.shape in _SHAPES:
        return _SHAPES[endpoint.shape]
    # The kernel declares standard methods with a text; a verb of the same name that a service declares is custom.
    return _VERBS.get(endpoint.verb) if endpoint.text else None


def method_kind_of(endpoint: Endpoint) -> MethodKind:
    """Returns whether an operation is a standard or a custom method."""
    return MethodKind.STANDARD if method_of(endpoint) else MethodKind.CUSTOM


def role_of(endpoint: Endpoint) -> str:
    """Returns who may call it: the least built-in role, `own` for the caller's resources, or `none` for all callers."""
    if endpoint.public:
        return "none"
    return f"own or {endpoint.role.value}" if endpoint.own else endpoint.role.value


@dataclass(frozen=True, slots=True)
class Hook:
    """A validator or hook of a kind that an operation runs."""

    when: str
    """Time at which it runs: `validate`, `before`, or `after` the change is written."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of an operation, derived from the code."""

    operation: str
    method: str
    path: str
    permission: str
    role: str
    sort: MethodKind
    summary: str
    source: str
    hooks: list[Hook]
    tables: list[str]
    """Tables that it may write. Empty for an operation that only reads."""

    events: list[str]
    """Types of events that it may add when it succeeds."""

    mounts: list[str]
    """Paths of the mounts that execute it or act as it. The explanation of a mount has its tables and events."""

    tests: list[str]


@dataclass(frozen=True, slots=True)
class MountExplanation:
    """The explanation of a mount, derived from the code."""

    path: str
    exact: bool
    """Whether the mount serves this path only, without the paths below it."""

    permission: str
    """Permission of all requests. Empty if the operations or the application check permissions."""

    role: str
    source: str
    acts_as: list[str]
    """Operations whose effects its code has."""

    executes: list[str]
    """Operations that it executes."""

    tables: list[str]
    events: list[str]


def explain(endpoint: Endpoint, tests: Coverage | None, mounts: Sequence[Mount] = ()) -> Explanation:
    """Returns the explanation of an operation, without tests if the coverage is None."""
    trace = Footprint()
    for function in (endpoint.function, endpoint.declared):
        trace.follow(function)
    batch = method_of(endpoint) is Method.BATCH
    verbs = ("create", "update", "delete") if batch else (endpoint.verb,)
    hooks: list[tuple[str, Callable[..., None]]] = []
    if isinstance(endpoint.kind, ResourceKind) and endpoint.changes:
        if trace.reaches(standard.write) or trace.reaches(standard.insert):
            hooks += [("validate", hook) for hook in endpoint.kind.validators]
        hooks += [hook for verb in verbs for hook in endpoint.kind.hooks(verb)]
    for _, hook in hooks:
        trace.follow(hook)
    trace.follow(Context.write, Context)
    if endpoint.answer is Answer.OPERATION:
        trace.follow(Operations.accept, Operations)
    parts = [f"{endpoint.kind.full_name}.{verb}d" for verb in verbs] if batch else []
    return Explanation(
        operation=endpoint.operation_id,
        method=endpoint.method,
        path=endpoint.path,
        permission=endpoint.permission,
        role=role_of(endpoint),
        sort=method_kind_of(endpoint),
        summary=endpoint.summary,
        source=endpoint.source,
        hooks=[Hook(when, hook.__name__, source_of(hook)) for when, hook in hooks],
        tables=sorted(trace.tables) if endpoint.changes else [],
        events=[endpoint.event, *parts, *sorted(trace.events)] if endpoint.changes else [],
        mounts=[mount.path for mount in mounts if endpoint.operation_id in (*mount.acts_as, *mount.executes)],
        tests=tests.of(endpoint) if tests else [],
    )


def explain_mount(mount: Mount, services: Sequence[Service]) -> MountExplanation:
    """Returns the explanation of a mount: of its code and of the operations that it executes."""
    operations = {str(endpoint): endpoint for service in services for endpoint in service.endpoints}
    routine = inspect.isroutine(mount.app)
    served: Any = mount.app if routine else type(mount.app)
    trace = Footprint()
    trace.follow(served if routine else served.__call__, type(mount.app))
    executed = [explain(operations[name], None) for name in mount.executes]
    recorded = {operations[name].event for name in mount.acts_as if operations[name].changes}
    return MountExplanation(
        path=mount.path,
        exact=mount.exact,
        permission=mount.permission,
        role=mount.role or "none",
        source=source_of(served),
        acts_as=list(mount.acts_as),
        executes=list(mount.executes),
        tables=sorted(trace.tables.union(*(operation.tables for operation in executed))),
        events=sorted((trace.events | recorded).union(*(operation.events for operation in executed))),
    )


def mount_at(mounts: Sequence[Mount], text: str) -> Mount | None:
    """Returns the mount for `/path` or `METHOD /path`, or None."""
    found = Registry((), mounts).find(text.strip().rpartition(" ")[2])
    return found.mount if found else None


def find(services: Sequence[Service], text: str) -> Endpoint:
    """Returns the operation with this id, or for `METHOD /path` with ids or with names in braces.

    Raises:
        NotFound: there is none. The error names similar ones.
    """
    registry = _registry(tuple(services))
    names = registry.names
    if text in names:
        return names[text]
    method, _, path = text.strip().partition(" ")
    if path:
        found = registry.find(path.strip())
        if found and (endpoint := found.endpoint(method.upper())):
            return endpoint
        paths = [f"{endpoint.method} {endpoint.path}" for endpoint in registry.endpoints]
        methods = [f"{other} {path.strip()}" for other in sorted(found.operations)] if found else []
        raise _unknown(text, methods or close_names(text, paths, percent=70))
    words = set(text.lower().replace("-", "_").split("_"))
    shared = sorted(names, key=lambda name: -len(words & set(name.split("_"))))
    raise _unknown(text, close_names(text, names, percent=70) or shared[:5])


@lru_cache(maxsize=1)
def _registry(services: tuple[Service, ...]) -> Registry:
    return Registry(services)


def coverage(root: Path) -> Coverage:
    """Returns the coverage that the marks of the tests in a repository declare.

    Raises:
        ValueError: the arguments of a mark are not literals.
    """
    tests = Coverage()
    for path in sorted((root / "tests").rglob("test_*.py")):
        text = path.read_text()
        if _MARK.search(text):
            for mark, test in _marks(ast.parse(text), path.relative_to(root).as_posix()):
                by_name = tests.effects if _name(mark) == "pytest.mark.effect" else tests.methods
                for name in _arguments(mark, test):
                    by_name.setdefault(name, []).append(test)
    return tests


def _marks(node: ast.AST, parent: str) -> Iterator[tuple[ast.Call, str]]:
    """Yields the marks of modules, classes, and tests, with the name of the marked node."""
    for child in ast.iter_child_nodes(node):
        marked: list[ast.expr] = []
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{parent}::{child.name}"
            marked = child.decorator_list
            yield from _marks(child, name)
        elif isinstance(child, ast.Assign) and "pytestmark" in map(ast.unparse, child.targets):
            name = parent
            marked = child.value.elts if isinstance(child.value, ast.List) else [child.value]
        yield from ((mark, name) for mark in marked if isinstance(mark, ast.Call) and _MARK.fullmatch(_name(mark)))


def _name(mark: ast.Call) -> str:
    return ast.unparse(mark.func)


def _arguments(mark: ast.Call, test: str) -> list[str]:
    values = [argument.value for argument in mark.args if isinstance(argument, ast.Constant)]
    if len(values) < len(mark.args):
        raise ValueError(f"{test}: the arguments of a mark must be literals, not {ast.unparse(mark)}")
    return [str(value) for value in values]


def _unknown(text: str, similar: Sequence[str]) -> NotFound:
    suggestion = f" Similar: {', '.join(similar)}." if similar else ""
    return NotFound(f"There is no operation {text!r}.{suggestion}", metadata={"similar": list(similar)})
