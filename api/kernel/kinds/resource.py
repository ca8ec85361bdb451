"""A resource: an envelope of identity, scope and history around what callers ask for and what the platform observed.

An author writes three classes, and the type checker sees every field of them:

    class ProjectSpec(Spec): ...
    class ProjectStatus(Status): ...
    class Project(Resource[ProjectSpec, ProjectStatus]): ...
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.kernel.models import Model, Page, Request, generic

_STORED = ConfigDict(json_schema_serialization_defaults_required=True)


class Spec(Request):
    """What callers ask for. Only callers write it."""

    model_config = _STORED


class Status(Model):
    """What the platform observed. Only the platform writes it; `state`, if there is one, changes by actions alone."""

    model_config = _STORED


class NoStatus(Status):
    """Of a kind of which nothing is observed."""


S = TypeVar("S", bound=Spec)
T = TypeVar("T", bound=Status)
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)


class Level(Enum):
    """Where resources of a kind live: below the platform itself, in an organization, or in a project of one."""

    PLATFORM = "PLATFORM"
    ORGANIZATION = "ORGANIZATION"
    PROJECT = "PROJECT"


def _plain(text: str) -> str:
    """Refuses what only deceives readers: controls, invisible and direction-changing characters."""
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for character in text):
        raise ValueError("holds an invisible or control character")
    return unicodedata.normalize("NFC", text).strip()


Text = Annotated[str, Field(max_length=2000), AfterValidator(_plain)]
"""Text for people: any script, no invisible characters, normalized."""

Title = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
"""A line for people."""

Labels = Annotated[
    dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9._/-]{0,62}$")],
        Annotated[str, Field(max_length=200), AfterValidator(_plain)],
    ],
    Field(max_length=64),
]
"""Free key-value pairs to find things by."""


@generic
class Resource(Model, Generic[S, T]):
    """One stored thing."""

    id: str
    """Id, never used again for anything else."""

    kind: str
    """What it is: `<service>.<kind>`."""

    organization_id: str | None
    """Organization it belongs to; null for what belongs to the platform."""

    project_id: str | None
    """Project it belongs to; null outside projects."""

    name: str
    """Name, unique in its scope while it is not deleted."""

    labels: dict[str, str]
    """Free key-value pairs to find it by."""

    owner: str
    """Id of the principal that answers for it."""

    etag: str
    """Changes with every change; send it as `If-Match` to change only what was seen."""

    generation: int
    """Counts changes of the spec."""

    version: int
    """Counts all changes, and names its revisions."""

    created_at: datetime
    """When it was created."""

    created_by: str
    """Name of who created it."""

    updated_at: datetime
    """When it last changed."""

    updated_by: str
    """Name of who changed it last."""

    deleted_at: datetime | None
    """When it was deleted; null while it lives."""

    spec: S
    """What was asked for."""

    status: T
    """What the platform observed."""

    @classmethod
    def spec_type(cls) -> type[Spec]:
        """The class of `spec`."""
        return _model(cls, "spec", Spec)

    @classmethod
    def status_type(cls) -> type[Status]:
        """The class of `status`."""
        return _model(cls, "status", Status)


@generic
class Draft(Request, Generic[S]):
    """A resource to create."""

    name: Annotated[str, Field(max_length=128)]
    """Name, unique in its scope."""

    organization_id: Annotated[str, Field(max_length=64)] | None = None
    """Organization it shall belong to; by default that of the caller, or that of its project."""

    project_id: Annotated[str, Field(max_length=64)] | None = None
    """Project it shall belong to, for kinds that live in projects."""

    labels: Labels = {}
    """Free key-value pairs to find it by."""

    spec: S
    """What is asked for."""

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Names the schema after its kind: `NewProject`."""
        return f"New{params[0].__name__.removesuffix('Spec')}"


@generic
class Change(Request, Generic[S]):
    """What to change, as JSON merge-patch: absent stays, null removes."""

    name: Annotated[str, Field(max_length=128)] | None = None
    """New name."""

    owner: Annotated[str, Field(max_length=64)] | None = None
    """Id of the principal that shall answer for it."""

    labels: dict[str, str | None] = {}
    """Labels to set; null removes one."""

    spec: dict[str, Any] = {}
    """Fields of the spec to set; null sets a field back to its default."""

    @classmethod
    def spec_type(cls) -> type[Spec]:
        """The class of the spec that it changes."""
        spec: type[Spec] = cls.__pydantic_generic_metadata__["args"][0]
        return spec

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Names the schema after its kind: `ProjectChange`."""
        return f"{params[0].__name__.removesuffix('Spec')}Change"


class ResourcePage(Page[R], Generic[R]):
    """One page of resources."""

    total_size: int | None = Field(description="How many there are in all, if it was asked for.")


class Revision(Model):
    """One change of a resource, and what it was like afterwards."""

    version: int
    """The version this change made."""

    at: datetime
    """When."""

    by: str
    """Name of who did it."""

    action: str
    """What was done: the permission it needed."""

    changes: list[FieldChange]
    """Every field that changed."""

    request_id: str
    """The request that did it."""


class FieldChange(Model):
    """One field before and after."""

    pointer: str
    """JSON pointer of the field in the resource."""

    before: Any
    """Its value before; null if it had none."""

    after: Any
    """Its value after; null if it has none."""


def _model(cls: type[BaseModel], field: str, base: type[M]) -> type[M]:
    annotation = cls.model_fields[field].annotation
    if not (isinstance(annotation, type) and issubclass(annotation, base)):
        raise TypeError(f"{cls.__name__} must name its spec and status: Resource[Spec, Status]")
    return annotation
