"""External locations: buckets and folders of them that a project reaches. No two of an organization overlap."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.placement import project_of_new
from api.kernel.kinds.resource import Text, Title
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.references import ORGANIZATION, Project, RefersTo
from api.kernel.securable import PLATFORM
from api.kernel.storage import store
from api.services.connections.kinds.storage_credential import STORAGE_CREDENTIAL, StorageCredential
from api.services.connections.logic.storage_urls import above, normalized
from api.services.connections.storage_tables import EXTERNAL_LOCATION as TABLE
from core.errors import Conflict, InvalidPayload

StorageCredentialReference = Annotated[str, Field(max_length=128), RefersTo(("connections.storage_credential",))]
"""Id or name of a storage credential."""

LocationUrl = Annotated[str, Field(min_length=1, max_length=1000, examples=["s3://lake/raw/"])]
"""URL of a bucket, a folder, or an object."""


class ExternalLocation(Model):
    """A bucket or a folder of an object store, whose paths temporary keys open."""

    id: str
    """Id of the location."""

    organization_id: str
    """Id of the organization."""

    project_id: str
    """Id of the project."""

    name: str
    """Name, unique in the project."""

    title: str
    """Display name."""

    description: str
    """What is stored there, and who writes it."""

    url: str
    """URL of the bucket or folder, which ends with a slash. It overlaps no other location of the organization."""

    storage_credential_id: str
    """Id of the storage credential that reaches it."""

    read_only: bool
    """Whether nothing may be written there through the platform."""

    created_at: datetime
    """Time of creation."""

    created_by: str
    """Principal that created it. `former-organization` if the project belonged to another organization then."""


class NewExternalLocation(Request):
    """A location to create."""

    project_id: Project
    """Id or name of the project."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$", examples=["raw-files"])]
    """Name, unique in the project."""

    title: Title
    """Display name."""

    description: Text = ""
    """What is stored there, and who writes it."""

    url: LocationUrl
    """URL of the bucket or folder, such as `s3://lake/raw/`. It never changes."""

    storage_credential_id: StorageCredentialReference
    """Id or name of a storage credential of the same project."""

    read_only: bool = False
    """Whether nothing may be written there through the platform."""


class ExternalLocationChange(Request):
    """A change of a location. Absent fields stay as they are."""

    title: Title | None = None
    """Display name."""

    description: Text | None = None
    """What is stored there, and who writes it."""

    storage_credential_id: StorageCredentialReference | None = None
    """Id or name of a storage credential of the same project."""

    read_only: bool | None = None
    """Whether nothing may be written there through the platform."""


EXTERNAL_LOCATION = TableKind(
    ExternalLocation,
    TABLE,
    plural="external-locations",
    prefix="exl",
    filter_by=("name", "url", "storage_credential_id", "project_id", "read_only", "created_at"),
)


@EXTERNAL_LOCATION.creation(request=NewExternalLocation, result=ExternalLocation)
def create_external_location(unit: Unit, request: NewExternalLocation) -> ExternalLocation:
    """Creates a location. Refused if it contains another one of the organization, or is in one.

    Requires the right to change the storage credential, because a location opens what its credential reaches.
    """
    url = normalized(request.url, "/url")
    project = project_of_new(unit, request.project_id, EXTERNAL_LOCATION.permission("create"))
    credential = _usable_credential(unit, request.storage_credential_id, project.id)
    if unit.connection.execute(sa.select(TABLE.c.id).filter_by(project_id=project.id, name=request.name)).first():
        raise Conflict(f"{project.name} has a location {request.name} already. Choose another name.")
    _refuse_overlap(unit, str(project.organization_id), url)
    return EXTERNAL_LOCATION.add(
        unit,
        organization_id=project.organization_id,
        project_id=project.id,
        name=request.name,
        title=request.title,
        description=request.description,
        url=url,
        storage_credential_id=credential,
        read_only=request.read_only,
        created_at=unit.now,
        created_by=unit.principal.name,
    )


@EXTERNAL_LOCATION.modification(request=ExternalLocationChange, result=ExternalLocation)
def update_external_location(unit: Unit, location: Row, request: ExternalLocationChange) -> ExternalLocation:
    """Changes a location. More than before is opened only by those who may change the storage credential."""
    values = {name: value for name, value in request.model_dump(exclude_unset=True).items() if value is not None}
    reach = values.get("storage_credential_id", location.storage_credential_id)
    if reach != location.storage_credential_id or values.get("read_only", location.read_only) < location.read_only:
        values["storage_credential_id"] = _usable_credential(unit, reach, location.project_id)
    unit.call.note(changes=sorted(name for name, value in values.items() if value != location._mapping[name]))
    return EXTERNAL_LOCATION.change(unit, location, **values) if values else EXTERNAL_LOCATION.item(unit, location)


@EXTERNAL_LOCATION.deletion()
def delete_external_location(unit: Unit, location: Row) -> None:
    """Deletes a location. What is stored there stays, and what it vended expires."""
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == location.id))


@STORAGE_CREDENTIAL.before("delete")
def refuse_used(unit: Unit, credential: StorageCredential) -> None:
    """Refuses to delete a credential that locations need."""
    used = sa.select(TABLE.c.id, TABLE.c.name).where(TABLE.c.storage_credential_id == credential.id).limit(1)
    if row := unit.connection.execute(used).first():
        raise Conflict(
            f"{credential.name} is still used by the external location {row.name}. Change or delete that first.",
            metadata={"used_by": row.id},
        )


def overlapping(unit: Unit, organization: str, url: str) -> list[Row]:
    """Returns the locations of an organization that contain a folder or are in it."""
    within = TABLE.c.url.startswith(url, autoescape=True)
    select = sa.select(TABLE).where(
        TABLE.c.organization_id == organization, sa.or_(TABLE.c.url.in_(above(url)), within)
    )
    rows = unit.connection.execute(select.order_by(TABLE.c.id))
    # Databases may compare prefixes without regard to case, but stores don't.
    return [row for row in rows if row.url.startswith(url) or url.startswith(row.url)]


def visible(unit: Unit, rows: list[Row]) -> list[Row]:
    """Returns those of the locations that the caller can see."""
    permission = EXTERNAL_LOCATION.permission("get")
    return [row for row in rows if unit.allows(permission, EXTERNAL_LOCATION.place(unit, row))]


def _refuse_overlap(unit: Unit, organization: str, url: str) -> None:
    # Callers that create overlapping locations at the same time wait for each other here.
    store.find(unit.connection, ORGANIZATION, organization, within=PLATFORM, lock=True)
    found = overlapping(unit, organization, url)
    if not found:
        return
    seen = visible(unit, found)
    if not seen:
        raise Conflict(f"{url} overlaps an external location that you can't see. Choose another folder.")
    raise Conflict(
        f"{url} overlaps the external location {seen[0].name} ({seen[0].url}). Use that, or choose another folder.",
        metadata={"overlaps": seen[0].id},
    )


def _usable_credential(unit: Unit, id: str, project: str) -> str:
    """Returns the id of a credential of the project that the caller may open locations with."""
    row = unit.find(STORAGE_CREDENTIAL, id)
    permission = STORAGE_CREDENTIAL.permission("get")
    if (
        row is None
        or row.deleted_at is not None
        or not unit.allows(permission, row.securable, row)
        or row.project_id != project
    ):
        fault = {"pointer": "/storage_credential_id", "detail": "is none of this project that you may see"}
        raise InvalidPayload(f"There is no storage credential {id!r} in this project.", errors=[fault])
    unit.require(STORAGE_CREDENTIAL.permission("update"), row.securable, row)
    return row.id
