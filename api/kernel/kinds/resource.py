"""A resource: an envelope of identity, scope, and history around a spec, which callers write, and a status.

An author writes three classes, so the type checker knows every field:

    class ProjectSpec(Spec): ...
    class ProjectStatus(Status): ...
    class Project(Resource[ProjectSpec, ProjectStatus]): ...
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.kernel.models import Model, Name, Page, Request, generic
from api.kernel.references import Organization, PrincipalReference, Project

_STORED = ConfigDict(json_schema_serialization_defaults_required=True)


class Spec(Request):
    """What a resource should be. Only callers write it."""

    model_config = _STORED


class Status(Model):
    """What the platform observes. Only the platform writes it. Only actions change its `state`, if it has one."""

    model_config = _STORED


class NoStatus(Status):
    """The status of a kind without observations."""


S = TypeVar("S", bound=Spec)
T = TypeVar("T", bound=Status)
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)


class Level(Enum):
    """The scope that resources of a kind belong to: the platform, an organization, or a project."""

    PLATFORM = "PLATFORM"
    ORGANIZATION = "ORGANIZATION"
    PROJECT = "PROJECT"


def _plain(text: object) -> object:
    """Normalizes text. Refuses control, invisible, and direction-changing characters, which deceive readers.

    Runs before the length limits are checked, so that stored text is valid when it is read again.
    """
    if not isinstance(text, str):
        return text
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for character in text):
        raise ValueError("holds an invisible or control character")
    return unicodedata.normalize("NFC", text).strip()


Text = Annotated[str, Field(max_length=2000), BeforeValidator(_plain)]
"""Text for people: any script, no invisible characters, normalized."""

Title = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(_plain)]
"""A title for people, of one line."""

MAX_LABELS = 64
LABEL_KEY = r"^[a-z][a-z0-9._/-]{0,62}$"
LabelKey = Annotated[str, Field(pattern=LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=200), BeforeValidator(_plain)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=MAX_LABELS)]
"""Free key-value pairs for searching."""


@generic
class Resource(Model, Generic[S, T]):
    """One stored resource."""

    id: str
    """Id. It is never reused."""

    kind: str
    """Kind: `<service>.<kind>`."""

    organization_id: str | None
    """Id of the organization that it belongs to. Null if it belongs to the platform."""

    project_id: str | None
    """Id of the project that it belongs to. Null outside projects."""

    name: str
    """Name, unique in its scope among resources that are not deleted."""

    labels: dict[str, str]
    """Free key-value pairs for searching."""

    owner: str
    """Id of the principal that is responsible for it."""

    etag: str
    """Version for `If-Match`: send it to change only the version that you read."""

    generation: int
    """Number of changes of the spec."""

    version: int
    """Number of all changes, and number of the newest revision."""

    created_at: datetime
    """When it was created."""

    created_by: str
    """Name of the principal that created it."""

    updated_at: datetime
    """When it last changed."""

    updated_by: str
    """Name of the principal that changed it last."""

    deleted_at: datetime | None
    """When it was deleted. Null if it is not deleted."""

    spec: S
    """What it should be. Callers write it."""

    status: T
    """What the platform observes."""

    @classmethod
    def spec_type(cls) -> type[Spec]:
        """Returns the class of `spec`."""
        return _model(cls, "spec", Spec)

    @classmethod
    def status_type(cls) -> type[Status]:
        """Returns the class of `status`."""
        return _model(cls, "status", Status)


@generic
class Draft(Request, Generic[S]):
    """A resource to create."""

    name: Name
    """Name, unique in its scope."""

    organization_id: Organization | None = None
    """Organization that it belongs to. Defaults to the organization of its project, or of the caller."""

    project_id: Project | None = None
    """Project that it belongs to, for kinds that belong to projects."""

    labels: Labels = {}
    """Free key-value pairs for searching."""

    spec: S
    """What it should be."""

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Names the schema after its kind: `NewProject`."""
        return f"New{params[0].__name__.removesuffix('Spec')}"


@generic
class Change(Request, Generic[S]):
    """Changes as JSON merge-patch: absent fields stay as they are, null removes."""

    name: Name | None = None
    """New name."""

    owner: PrincipalReference | None = None
    """Principal that is responsible for it."""

    labels: dict[Annotated[str, Field(max_length=1000)], LabelValue | None] = {}
    """Labels to set. Null removes a label."""

    spec: dict[str, Any] = {}
    """Fields of the spec to set. Null resets a field to its default."""

    @classmethod
    def spec_type(cls) -> type[Spec]:
        """Returns the class of the spec that it changes."""
        spec: type[Spec] = cls.__pydantic_generic_metadata__["args"][0]
        return spec

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Names the schema after its kind: `ProjectChange`."""
        return f"{params[0].__name__.removesuffix('Spec')}Change"


class ResourcePage(Page[R], Generic[R]):
    """One page of resources."""

    total_size: int | None = Field(description="Number of all matching resources, if the request asked for it.")


class Revision(Model):
    """One change of a resource."""

    version: int
    """The version that the change created."""

    at: datetime
    """When the change was made."""

    by: str
    """Name of the principal that made the change."""

    action: str
    """The permission that the change needed."""

    changes: list[FieldChange]
    """Every field that changed."""

    request_id: str
    """Id of the request that made the change."""


class FieldChange(Model):
    """One field before and after."""

    pointer: str
    """JSON pointer of the field in the resource."""

    before: Any
    """Value before. Null if it had none."""

    after: Any
    """Value after. Null if it has none."""


def _model(cls: type[BaseModel], field: str, base: type[M]) -> type[M]:
    annotation = cls.model_fields[field].annotation
    if not (isinstance(annotation, type) and issubclass(annotation, base)):
        raise TypeError(f"{cls.__name__} must name its spec and status: Resource[Spec, Status]")
    return annotation
