"""What a type of connector declares: its configuration, its secrets, its test, and how it lists what is there."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors.egress import Egress

if TYPE_CHECKING:
    import pyarrow as pa

_MARK = {"x-secret": True}
Secret = Annotated[SecretStr, Field(min_length=1, max_length=20_000, json_schema_extra=_MARK)]
"""A field of a configuration that a connection takes from a stored secret. It is in no stored configuration."""

OptionalSecret = Annotated[SecretStr | None, Field(max_length=20_000, json_schema_extra=_MARK)]
"""A secret that a configuration can do without."""


class Category(StrEnum):
    """What a connector connects to."""

    DATABASE = "DATABASE"
    OBJECT_STORE = "OBJECT_STORE"


class Capability(StrEnum):
    """What a connector can do."""

    TEST = "TEST"
    DISCOVER = "DISCOVER"
    ROTATE = "ROTATE"
    INSPECT = "INSPECT"
    READ = "READ"


class Config(BaseModel):
    """The configuration of a connection, with its secrets. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, strict=True, allow_inf_nan=False)

    @classmethod
    def secret_fields(cls) -> list[str]:
        """Returns the names of the fields that hold secrets."""
        return [name for name, one in cls.model_fields.items() if one.json_schema_extra == _MARK]

    @classmethod
    def completed(cls, config: Mapping[str, Any], values: Mapping[str, str]) -> Self:
        """Returns a stored configuration with the values of its secrets.

        Raises:
            ValidationError: it is not valid.
        """
        return cls.model_validate_json(json.dumps({**config, **values}))

    def secret_values(self) -> dict[str, str]:
        """Returns the values of the secrets that are set, by field."""
        values = {name: getattr(self, name) for name in self.secret_fields()}
        return {name: value.get_secret_value() for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the test of a connection. A step that fails ends the test."""

    name: str
    title: str
    seconds: float = 10.0
    """The time that it may take."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table of another system."""

    name: str
    type: str
    """Type, as the other system writes it."""
    nullable: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A table, a view, or a group of files of another system."""

    path: tuple[str, ...]
    """Schema and name, or the path of an object."""
    kind: str
    """`table`, `view`, `folder`, or `object`."""
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    """Columns of the primary key."""
    size: int | None = None
    """Bytes of an object."""
    version: str = ""
    """What changes with the content, such as an ETag. Empty if the system has nothing of the sort."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of what a system has, in the order of the paths."""

    items: Sequence[Found]
    next: str
    """Where the next page begins. Empty on the last page."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list."""

    below: tuple[str, ...] = ()
    """A schema, or the parts of a prefix. Empty for everything."""
    after: str = ""
    """`next` of the page before."""
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of a database to read: those of a table, or the result of a query."""

    table: tuple[str, ...] = ()
    """Schema and name."""
    query: str = ""
    """One SELECT in the dialect of the database."""
    cursor: str = ""
    """Column that grows with each new row. It must not be null."""
    since: str = ""
    """Value of the cursor, in ISO 8601 if it is a time, from which on rows are read. Empty for all rows."""
    limit: int = 0
    """Number of rows after which the reading ends. 0 for all rows."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Returns the selection with these values, as `dataclasses.asdict` and JSON change them."""
        return cls(**{**values, "table": tuple(values["table"])})


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows as the database has them at one moment."""

    schema: pa.Schema
    types: Mapping[str, str]
    """Type of each column, as the database writes it."""
    version: str
    """Position of the database at that moment."""
    batches: Iterator[pa.RecordBatch]


Detail = str
"""What a step found, for people. It contains no secret."""


@dataclass(frozen=True, slots=True)
class Link:
    """A configuration and the rules for the addresses that it may lead to."""

    config: Any
    egress: Egress
    opened: dict[str, Any] = field(default_factory=dict)
    """What a step of a test leaves for the next one."""


class Connector(ABC):
    """A type of connector. Its methods except the class attributes run in a process of their own."""

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    category: ClassVar[Category]
    config: ClassVar[type[Config]]
    steps: ClassVar[tuple[Step, ...]]
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.TEST, Capability.DISCOVER})
    verified: ClassVar[str] = ""
    """The servers that the test suite runs it against. Empty if none could be had, so that nothing is proven."""

    @classmethod
    def steps_of(cls, config: Any) -> tuple[Step, ...]:
        """Returns the steps of the test of a configuration, some of `steps`. All of them by default."""
        return cls.steps

    @classmethod
    @abstractmethod
    def target(cls, config: Any) -> tuple[str, int]:
        """Returns the host and the port that a configuration leads to, or an empty host if there is none."""

    @abstractmethod
    def run(self, step: str, link: Link) -> Detail:
        """Runs a step of a test.

        Raises:
            Failed: the step failed for a reason that a user can act on.
        """

    @abstractmethod
    def discover(self, link: Link, listing: Listing) -> Page:
        """Returns a page of what is there."""

    def read(self, link: Link, selection: Selection) -> Reading:
        """Returns rows, all of one moment.

        Raises:
            Failed: this type has no tables, or the database refused. Also raised while the rows are read.
        """
        raise Failed("NOT_READABLE", f"{self.title} has no tables to read. Use a connection to a database.")

    def objects(self, link: Link, path: str) -> dict[str, Found]:
        """Returns the objects at a path and below it, by their paths, in order.

        Raises:
            Failed: this type has no objects, or the store refused.
        """
        raise Failed("NOT_READABLE", f"{self.title} has no objects. Use a connection to an object store.")

    def content(self, link: Link, found: Found) -> bytes:
        """Returns the content of an object that `objects` returned.

        Raises:
            Failed: the object has changed since.
        """
        raise NotImplementedError

    def rotate(self, link: Link, fresh: Mapping[str, str]) -> None:
        """Makes the other system accept new secrets instead of the present ones.

        Raises:
            Failed: this type can't. It doesn't have the capability `ROTATE`.
        """
        raise Failed("NOT_ROTATABLE", f"{self.title} can't replace a credential. Replace it there.")

    def inspect(self, link: Link, question: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answers a question about the other system as JSON.

        Raises:
            Failed: this type answers none. It doesn't have the capability `INSPECT`.
        """
        raise Failed("NOT_INSPECTABLE", f"{self.title} doesn't answer this question.")

    def close(self, link: Link) -> None:
        """Closes what the steps left open. Nothing by default."""
        link.opened.clear()


class Failed(Exception):
    """A step failed. The text says what to do."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        """A constant, such as `WRONG_CREDENTIAL`."""
