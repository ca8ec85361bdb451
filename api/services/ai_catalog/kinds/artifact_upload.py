"""Uploads in parts: files of any size, sent in any order, and continued after an interruption."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.artifact import (
    ARTIFACT,
    Artifact,
    add_artifact,
    open_blobs,
    writable_parent,
)
from api.services.ai_catalog.logic.artifact_paths import normal_path
from api.services.ai_catalog.upload_tables import ARTIFACT_UPLOAD as TABLE
from api.services.ai_catalog.upload_tables import ARTIFACT_UPLOAD_PART as PARTS
from core.errors import Conflict, InvalidPayload, NotFound, TableDamaged

MAX_PARTS = 10_000
"""The highest number of a part."""

PartNumber = Annotated[int, Field(ge=1, le=MAX_PARTS)]
"""Number of a part."""

_LIFE = timedelta(days=7)


class UploadState(StrEnum):
    """The state of an upload. A COMPLETED one is an artifact, and its parts are deleted."""

    OPEN = "OPEN"
    COMPLETED = "COMPLETED"


class UploadPart(Model):
    """A part that arrived completely."""

    number: int
    """Number of the part, from 1."""

    size: int
    """Size in bytes."""

    digest: str
    """SHA-256 of the content, in hexadecimal digits."""


class ArtifactUpload(Model):
    """An upload of a file in parts. Parts can arrive in any order, more than once, and at the same time."""

    id: str
    """Id of the upload."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    parent_id: str
    """Id of the run or logged model that the file becomes an artifact of."""

    path: str
    """Path of the file in it."""

    size: int | None
    """Size that the whole file must have, in bytes. Null if the client did not name it."""

    digest: str | None
    """SHA-256 that the whole file must have. Null if the client did not name it."""

    state: UploadState
    """OPEN or COMPLETED."""

    artifact_id: str | None
    """Id of the artifact that it became."""

    parts: list[UploadPart]
    """The parts that have arrived, by number."""

    created_at: datetime
    """Time at which it began."""

    created_by: str
    """Name of the principal that began it."""

    expires_at: datetime
    """Time from which its parts may be deleted."""


class NewUpload(Request):
    """An upload to begin."""

    parent: Annotated[str, Field(max_length=64)]
    """Id of the run or logged model."""

    path: Annotated[str, Field(min_length=1, max_length=1000)]
    """Path in it, such as `model/weights.safetensors`. An artifact at this path is replaced."""

    size: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    """Size of the whole file in bytes, to be compared at the end."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the whole file in hexadecimal digits, to be compared at the end."""


class CompleteUpload(Request):
    """The parts of the file."""

    parts: (
        Annotated[list[Annotated[int, Field(ge=1, le=MAX_PARTS)]], Field(min_length=1, max_length=MAX_PARTS)] | None
    ) = None
    """Numbers of all parts of the file, ascending. Defaults to all from 1 to the last one that arrived. A part that has
    not arrived is an error."""


def _uploads(unit: Unit, rows: Sequence[Row]) -> list[ArtifactUpload]:
    parts: dict[str, list[UploadPart]] = {}
    select = sa.select(PARTS).where(PARTS.c.upload_id.in_([row.id for row in rows])).order_by(PARTS.c.number)
    for part in unit.connection.execute(select):
        arrived = UploadPart(number=part.number, size=part.size, digest=part.digest)
        parts.setdefault(part.upload_id, []).append(arrived)
    columns = [name for name in ArtifactUpload.model_fields if name != "parts"]
    return [
        ArtifactUpload(**{name: row._mapping[name] for name in columns}, parts=parts.get(row.id, [])) for row in rows
    ]


ARTIFACT_UPLOAD = TableKind(
    ArtifactUpload,
    TABLE,
    plural="artifact-uploads",
    prefix="upl",
    filter_by=("parent_id", "state", "created_by", "expires_at"),
    items=_uploads,
)


@ARTIFACT_UPLOAD.creation(request=NewUpload, result=ArtifactUpload)
def create_artifact_upload(unit: Unit, request: NewUpload) -> ArtifactUpload:
    """Begins an upload. Send its parts with `PUT /artifact-files/uploads/<id>/<number>`, then complete it."""
    path = normal_path(request.path)
    parent = writable_parent(unit, request.parent, path)
    return ARTIFACT_UPLOAD.add(
        unit,
        organization_id=parent.organization_id,
        project_id=parent.project_id,
        parent_id=parent.id,
        path=path,
        size=request.size,
        digest=request.digest,
        state=UploadState.OPEN.value,
        created_at=unit.now,
        created_by=unit.principal.name,
        expires_at=unit.now + _LIFE,
    )


@ARTIFACT_UPLOAD.action("complete", request=CompleteUpload, result=Artifact, timeout_seconds=900, outside=True)
async def complete_artifact_upload(ctx: Context, artifact_upload: str, request: CompleteUpload) -> Artifact:
    """Joins the parts to one file, which becomes the artifact. A repeated request returns the artifact again.

    Refused if a part is missing, or if the file has another size or digest than the upload names.
    """

    def read(unit: Unit) -> tuple[Row, list[Row]]:
        upload = ARTIFACT_UPLOAD.row(unit, artifact_upload, "complete")
        if upload.state == UploadState.OPEN.value:
            writable_parent(unit, upload.parent_id, upload.path)
        select = sa.select(PARTS).where(PARTS.c.upload_id == upload.id).order_by(PARTS.c.number)
        return upload, list(unit.connection.execute(select))

    upload, arrived = await ctx.read(read)
    if upload.state == UploadState.COMPLETED.value:
        return await ctx.write(lambda unit: _became(unit, upload))
    parts = _selected(arrived, request.parts)
    blobs = open_blobs(ctx.platform)
    try:
        digest, size = await ctx.compute(blobs.join, upload.project_id, upload.id, parts)
    except (NotFound, TableDamaged):
        now = await ctx.read(lambda unit: ARTIFACT_UPLOAD.row(unit, artifact_upload, "complete"))
        if now.state == UploadState.COMPLETED.value:  # by a request at the same time, which deleted the parts
            return await ctx.write(lambda unit: _became(unit, now))
        raise Conflict("A part is missing, or changed after it arrived. Send the parts again.") from None
    for name, expected, actual in (("size", upload.size, size), ("digest", upload.digest, digest)):
        if expected is not None and expected != actual:
            raise Conflict(f"The file has the {name} {actual}, and {expected} was expected. Send the parts again.")

    def store(unit: Unit) -> Artifact:
        row = ARTIFACT_UPLOAD.row(unit, upload.id, "complete")
        if row.state == UploadState.COMPLETED.value:  # by a request at the same time
            return _became(unit, row)
        artifact = add_artifact(unit, row.parent_id, row.path, digest=digest, size=size)
        values = {"state": UploadState.COMPLETED.value, "artifact_id": artifact.id}
        unit.connection.execute(TABLE.update().where(TABLE.c.id == row.id).values(values))
        unit.connection.execute(PARTS.delete().where(PARTS.c.upload_id == row.id))
        unit.deferred.append(lambda: blobs.remove_parts(upload.project_id, upload.id))
        return artifact

    return await ctx.write(store)


@ARTIFACT_UPLOAD.deletion()
def delete_artifact_upload(unit: Unit, upload: Row) -> None:
    """Ends an upload, and deletes its parts. An artifact that it became stays."""
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == upload.id))
    blobs = open_blobs(unit.platform)
    unit.deferred.append(lambda: blobs.remove_parts(upload.project_id, upload.id))


def _became(unit: Unit, upload: Row) -> Artifact:
    return ARTIFACT.item(unit, ARTIFACT.row(unit, upload.artifact_id))


def _selected(arrived: Sequence[Row], numbers: Sequence[int] | None) -> dict[int, str]:
    """Returns the digests of the parts with these numbers, or of all parts if they have no gap.

    Raises:
        Conflict: a part has not arrived.
        InvalidPayload: the numbers are not ascending.
    """
    digests = {part.number: part.digest for part in arrived}
    if numbers is None:
        numbers = range(1, max(digests, default=1) + 1)
    elif sorted(set(numbers)) != list(numbers):
        raise InvalidPayload("Name each part once, ascending.", errors=[{"pointer": "/parts", "detail": "not sorted"}])
    if missing := [number for number in numbers if number not in digests]:
        raise Conflict(f"Part {missing[0]} has not arrived. Send it, and complete the upload again.")
    return {number: digests[number] for number in numbers}
