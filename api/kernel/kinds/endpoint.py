"""A declared operation: everything that routing, permissions, audit, and OpenAPI need."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from api.kernel.kinds.encoded import Encoded
from api.kernel.kinds.noun import Noun
from api.kernel.models import Query, Request
from api.kernel.permissions.power import Power
from api.kernel.platform import Platform
from api.kernel.roles import Role

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
    """The form of the response."""

    JSON = "a model as JSON"
    NOTHING = "204 without a body"
    ROWS = "rows as JSON, an Arrow IPC stream, or a Parquet file"
    STREAM = "server-sent events"
    FILE = "a file, streamed line by line"
    BINARY = "a binary file, streamed"
    OPERATION = "202 with an operation"


@dataclass(frozen=True, eq=False, kw_only=True)
class Endpoint:
    """One operation. The decorators of `Kind` create it. Endpoints are compared by identity."""

    service: str
    kind: Noun
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
    """Whether it concerns only what belongs to the caller, so that it needs no grant."""
    secret: bool = False
    power: Power | None = None
    """What it lets its caller pass on. None if its kind does not change principals or rights."""
    versioned: bool = False
    """Whether it checks `If-Match`. Other operations refuse the header, because to ignore it loses changes."""
    past: str = ""
    name: str = ""
    right: str = ""
    """Verb of its permission, if it shares the permission of another operation."""
    text: str = ""
    declared: Callable[..., Any] | None = None
    """The function or class of the author, if `function` belongs to the kernel."""
    timeout_seconds: float = 60.0
    outside: bool = False
    """Whether it changes something outside the metadata database, so that it does not support `validate_only`."""

    @cached_property
    def base(self) -> str:
        """Path of the collection below `/api/v1/`, such as `ai-catalog/assets`."""
        return self.kind.plural if self.kind.rooted else f"{self.service.replace('_', '-')}/{self.kind.plural}"

    @cached_property
    def key(self) -> str:
        """The path with `*` for the id, by which the registry finds the endpoint."""
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
        """Name in SDKs, such as `ai_catalog_materialize_asset`. It depends on the declared names only."""
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
        """The permission that it needs, such as `ai_catalog.asset.materialize`."""
        return f"{self.service}.{self.kind.name}.{(self.right or self.verb).replace('-', '_')}"

    @cached_property
    def event(self) -> str:
        """Type of the event of a success, such as `ai_catalog.schedule.started`."""
        verb = self.verb.replace("-", "_")
        past = self.past or (f"{verb}d" if verb.endswith("e") else f"{verb}ed")
        return f"{self.service}.{self.kind.name}.{past}"

    @cached_property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.description.split("\n", 1)[0].strip()

    @cached_property
    def description(self) -> str:
        """The docstring, which is the text in the OpenAPI document."""
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
        """Whether its response can be stored for a replay when the function returns."""
        return not self.secret and self.answer is Answer.JSON

    def encode(self, result: Any) -> bytes:
        """Returns the JSON form of the result of the function."""
        return result.content if isinstance(result, Encoded) else bytes(self.adapter.dump_json(result, by_alias=True))

    def __str__(self) -> str:
        return self.operation_id


class Endpoints(list[Endpoint]):
    """Every operation of the platform, those of other processes too. The application fills it."""

    def __init__(self, platform: Platform) -> None:
        super().__init__()


@cache
def source_of(declared: Callable[..., Any]) -> str:
    """Returns the file and line of a function or class."""
    file = Path(inspect.getfile(declared)).resolve()
    path = file.relative_to(_ROOT) if file.is_relative_to(_ROOT) else file.name
    return f"{path}:{inspect.getsourcelines(declared)[1]}"
