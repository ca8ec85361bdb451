"""One declared operation: everything that routing, permissions, audit and OpenAPI need to know of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter

from api.kernel.kinds.encoded import Encoded
from api.kernel.models import Query, Request
from api.kernel.roles import Role

if TYPE_CHECKING:
    from api.kernel.kinds.kind import Kind

_ROOT = Path(__file__).resolve().parents[3]


class Shape(Enum):
    """The form of an operation's URL and method."""

    LIST = ("GET", "", False)
    CREATE = ("POST", "", False)
    COLLECTION_ACTION = ("POST", ":{verb}", False)
    GET = ("GET", "", True)
    UPDATE = ("PATCH", "", True)
    DELETE = ("DELETE", "", True)
    ACTION = ("POST", ":{verb}", True)
    PART = ("GET", "/{verb}", True)
    PART_ITEM = ("GET", "/{verb}/{part}", True)
    COLLECTION_READ = ("GET", ":{verb}", False)

    def __init__(self, method: str, suffix: str, on_item: bool) -> None:
        self.method = method
        self.suffix = suffix
        self.on_item = on_item


class Answer(Enum):
    """What comes back."""

    JSON = "a model as JSON"
    NOTHING = "204 without a body"
    ROWS = "rows as JSON or as an Arrow IPC stream"
    STREAM = "server-sent events"
    FILE = "a stream of lines to keep"
    OPERATION = "202 with an operation"


@dataclass(frozen=True, eq=False, kw_only=True)
class Endpoint:
    """One operation. Made by the decorators of `Kind`; compared by identity."""

    service: str
    kind: Kind
    shape: Shape
    verb: str
    function: Callable[..., Any]
    query: type[Query] | None = None
    request: type[Request] | None = None
    result: type[BaseModel] | None = None
    answer: Answer = Answer.JSON
    role: Role = Role.VIEWER
    changes: bool = False
    public: bool = False
    own: bool = False
    """Whether it only concerns the caller's own things, so that no grant is needed."""
    secret: bool = False
    past: str = ""
    name: str = ""
    right: str = ""
    """Verb of its permission, where it shares that of another operation."""
    text: str = ""
    declared: Callable[..., Any] | None = None
    """The author's function or class, where `function` is the kernel's."""
    timeout_seconds: float = 60.0

    @cached_property
    def base(self) -> str:
        """Path of the collection below `/api/v1/`, such as `ai-catalog/assets`."""
        return self.kind.plural if self.kind.rooted else f"{self.service.replace('_', '-')}/{self.kind.plural}"

    @cached_property
    def key(self) -> str:
        """The path with `*` for the id: how the registry finds the endpoint."""
        return self.base + ("/*" if self.shape.on_item else "") + self.shape.suffix.format(verb=self.verb, part="*")

    @cached_property
    def path(self) -> str:
        """The OpenAPI path, such as `/api/v1/ai-catalog/assets/{asset}:materialize`."""
        item = f"/{{{self.kind.name}}}" if self.shape.on_item else ""
        return f"/api/v1/{self.base}{item}{self.shape.suffix.format(verb=self.verb, part=f'{{{self.part}}}')}"

    @property
    def part(self) -> str:
        """Name of the path parameter of a single part."""
        return self.verb.removesuffix("s").replace("-", "_")

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.shape.method

    @cached_property
    def operation_id(self) -> str:
        """Name in SDKs, such as `ai_catalog_materialize_asset`. Stable: it derives from the declared names only."""
        if self.name:
            return f"{self.service}_{self.name}"
        noun = self.kind.name if self.shape.on_item or self.shape is Shape.CREATE else self.kind.plural_name
        verb = self.verb.replace("-", "_")
        words: tuple[str, ...] = (verb, noun)
        if self.shape in (Shape.PART, Shape.PART_ITEM):
            words = ("get", noun, verb if self.shape is Shape.PART else self.part)
        return "_".join((self.service, *words))

    @cached_property
    def permission(self) -> str:
        """Name of the right it needs, such as `ai_catalog.asset.materialize`."""
        return f"{self.service}.{self.kind.name}.{(self.right or self.verb).replace('-', '_')}"

    @cached_property
    def event(self) -> str:
        """Type of the audit event of a success, such as `ai_catalog.schedule.started`."""
        verb = self.verb.replace("-", "_")
        past = self.past or (f"{verb}d" if verb.endswith("e") else f"{verb}ed")
        return f"{self.service}.{self.kind.name}.{past}"

    @cached_property
    def summary(self) -> str:
        """First sentence of the docstring."""
        return self.description.split("\n", 1)[0].strip()

    @cached_property
    def description(self) -> str:
        """The docstring: the OpenAPI text."""
        return inspect.cleandoc(self.text or (self.declared or self.function).__doc__ or "")

    @cached_property
    def source(self) -> str:
        """File and line of the author's declaration."""
        return source_of(self.declared or self.function)

    @property
    def status(self) -> int:
        """HTTP status of a success."""
        if self.answer is Answer.OPERATION:
            return 202
        if self.answer is Answer.NOTHING:
            return 204
        return 201 if self.shape is Shape.CREATE else 200

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Serializer of the result."""
        assert self.result is not None
        return TypeAdapter(self.result)

    @property
    def keeps_answer(self) -> bool:
        """Whether its answer may be stored for a replay, and can be as soon as the function has returned."""
        return not self.secret and self.answer is Answer.JSON

    def encode(self, result: Any) -> bytes:
        """The JSON form of what the function returned."""
        return result.content if isinstance(result, Encoded) else bytes(self.adapter.dump_json(result, by_alias=True))

    def __str__(self) -> str:
        return self.operation_id


@cache
def source_of(declared: Callable[..., Any]) -> str:
    """File and line where a function or class is written."""
    file = Path(inspect.getfile(declared)).resolve()
    shown = file.relative_to(_ROOT) if file.is_relative_to(_ROOT) else file.name
    return f"{shown}:{inspect.getsourcelines(declared)[1]}"
