"""What there is to know of each operation, told once: for the reference page and for `headwater explain`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

from api.kernel.documents.footprint import Footprint
from api.kernel.kinds import standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Answer, Endpoint, Shape, source_of
from api.kernel.kinds.registry import Mount, Registry
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.service import Service
from api.kernel.kinds.standard import Method
from api.kernel.operations.engine import Operations
from core.errors import NotFound

EVERY_OPERATION = "tests/conformance/test_every_operation.py"
"""Proves of every operation who may call it and what malformed input is answered."""

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


class Sort(StrEnum):
    """What kind of method an operation is."""

    STANDARD = "standard"
    """Uniform over all kinds that have it."""

    CUSTOM = "custom"
    """What only this kind can do or tell."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """Tests by what they prove, each named `file::name` from the root of the repository."""

    effects: dict[str, list[str]] = field(default_factory=dict)
    """By operation id: what is marked `effect`."""

    methods: dict[str, list[str]] = field(default_factory=dict)
    """By standard method of stored kinds: what is marked `standard`."""

    def of(self, endpoint: Endpoint) -> list[str]:
        """The tests that prove an operation; those of every operation where it has none of its own."""
        found = list(self.effects.get(endpoint.operation_id, ()))
        method = method_of(endpoint)
        if method and isinstance(endpoint.kind, ResourceKind):
            found += self.methods.get(method.value, ())
        return found or [EVERY_OPERATION]


def method_of(endpoint: Endpoint) -> Method | None:
    """The standard method that an operation is, or None if it is a custom one."""
    if endpoint.shape in _SHAPES:
        return _SHAPES[endpoint.shape]
    # The kernel's own methods bring their text; a verb of the same name that a service wrote is custom.
    return _VERBS.get(endpoint.verb) if endpoint.text else None


def sort_of(endpoint: Endpoint) -> Sort:
    """Whether an operation is a standard method."""
    return Sort.STANDARD if method_of(endpoint) else Sort.CUSTOM


def role_of(endpoint: Endpoint) -> str:
    """Who may call it: the least built-in role, `own` if everybody for his own things, `none` without login."""
    if endpoint.public:
        return "none"
    return f"own or {endpoint.role.value}" if endpoint.own else endpoint.role.value


@dataclass(frozen=True, slots=True)
class Hook:
    """A rule of a kind that an operation obeys."""

    when: str
    """`validate`, or `before` or `after` the change is written."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that the code tells of one operation."""

    operation: str
    method: str
    path: str
    permission: str
    role: str
    sort: Sort
    summary: str
    source: str
    hooks: list[Hook]
    tables: list[str]
    """What it may write; nothing for one that only reads."""

    events: list[str]
    """What it may add to the audit trail when it succeeds."""

    mounts: list[str]
    """Where somebody else's protocol does the same, or acts in its name. What that writes is told of the mount."""

    tests: list[str]


@dataclass(frozen=True, slots=True)
class MountExplanation:
    """All that the code tells of a mount."""

    path: str
    exact: bool
    """Whether it is just this path, not what is below it."""

    permission: str
    """What it takes to enter; empty if its operations, or its app, ask for more than the role."""

    role: str
    source: str
    acts_as: list[str]
    """Operations in whose name its own code acts."""

    carries_out: list[str]
    """Operations that it does as they are."""

    tables: list[str]
    events: list[str]


def explain(endpoint: Endpoint, found: Proofs | None, mounts: Sequence[Mount] = ()) -> Explanation:
    """All there is to know of an operation; without its tests where there are none."""
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
        sort=sort_of(endpoint),
        summary=endpoint.summary,
        source=endpoint.source,
        hooks=[Hook(when, hook.__name__, source_of(hook)) for when, hook in hooks],
        tables=sorted(trace.tables) if endpoint.changes else [],
        events=[endpoint.event, *parts, *sorted(trace.events)] if endpoint.changes else [],
        mounts=[mount.path for mount in mounts if endpoint.operation_id in (*mount.acts_as, *mount.carries_out)],
        tests=found.of(endpoint) if found else [],
    )


def explain_mount(mount: Mount, services: Sequence[Service]) -> MountExplanation:
    """All there is to know of a mount: its own code and the operations that it carries out."""
    operations = {str(endpoint): endpoint for service in services for endpoint in service.endpoints}
    routine = inspect.isroutine(mount.app)
    served: Any = mount.app if routine else type(mount.app)
    trace = Footprint()
    trace.follow(served if routine else served.__call__, type(mount.app))
    done = [explain(operations[name], None) for name in mount.carries_out]
    told = {operations[name].event for name in mount.acts_as if operations[name].changes}
    return MountExplanation(
        path=mount.path,
        exact=mount.exact,
        permission=mount.permission,
        role=mount.role or "none",
        source=source_of(served),
        acts_as=list(mount.acts_as),
        carries_out=list(mount.carries_out),
        tables=sorted(trace.tables.union(*(one.tables for one in done))),
        events=sorted((trace.events | told).union(*(one.events for one in done))),
    )


def mount_at(mounts: Sequence[Mount], asked: str) -> Mount | None:
    """The mount that serves a path, before which a method may stand."""
    found = Registry((), mounts).find(asked.strip().rpartition(" ")[2])
    return found.mount if found else None


def find(services: Sequence[Service], asked: str) -> Endpoint:
    """The operation with this id, or at `METHOD /path`, whose ids may be there or in braces.

    Raises:
        NotFound: there is none; tells similar ones.
    """
    registry = Registry(services)
    names = {endpoint.operation_id: endpoint for endpoint in registry.endpoints}
    if asked in names:
        return names[asked]
    method, _, path = asked.strip().partition(" ")
    if path:
        found = registry.find(path.strip())
        if found and (endpoint := found.endpoint(method.upper())):
            return endpoint
        paths = [f"{endpoint.method} {endpoint.path}" for endpoint in registry.endpoints]
        there = [f"{other} {path.strip()}" for other in sorted(found.operations)] if found else []
        raise _unknown(asked, there or get_close_matches(asked, paths, n=5, cutoff=0.7))
    words = set(asked.lower().replace("-", "_").split("_"))
    shared = sorted(names, key=lambda name: -len(words & set(name.split("_"))))
    raise _unknown(asked, get_close_matches(asked, list(names), n=5, cutoff=0.7) or shared[:5])


def proofs(root: Path) -> Proofs:
    """What the tests of the repository at `root` say they prove.

    Raises:
        ValueError: a mark does not name what it proves in so many words.
    """
    found = Proofs()
    for path in sorted((root / "tests").rglob("test_*.py")):
        text = path.read_text()
        if _MARK.search(text):
            for mark, test in _marks(ast.parse(text), path.relative_to(root).as_posix()):
                into = found.effects if _name(mark) == "pytest.mark.effect" else found.methods
                for name in _words(mark, test):
                    into.setdefault(name, []).append(test)
    return found


def _marks(node: ast.AST, where: str) -> Iterator[tuple[ast.Call, str]]:
    """Each mark of a module, class or test with the name of what it stands at."""
    for child in ast.iter_child_nodes(node):
        marked: list[ast.expr] = []
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{where}::{child.name}"
            marked = child.decorator_list
            yield from _marks(child, name)
        elif isinstance(child, ast.Assign) and "pytestmark" in map(ast.unparse, child.targets):
            name = where
            marked = child.value.elts if isinstance(child.value, ast.List) else [child.value]
        yield from ((mark, name) for mark in marked if isinstance(mark, ast.Call) and _MARK.fullmatch(_name(mark)))


def _name(mark: ast.Call) -> str:
    return ast.unparse(mark.func)


def _words(mark: ast.Call, test: str) -> list[str]:
    words = [argument.value for argument in mark.args if isinstance(argument, ast.Constant)]
    if len(words) < len(mark.args):
        raise ValueError(f"{test}: name what is proven in so many words, not {ast.unparse(mark)}")
    return [str(word) for word in words]


def _unknown(asked: str, similar: Sequence[str]) -> NotFound:
    hint = f" Similar: {', '.join(similar)}." if similar else ""
    return NotFound(f"There is no operation {asked!r}.{hint}", metadata={"similar": list(similar)})
