"""Parts of uploads: how they arrive, and links for clients without a token."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Base64Bytes, Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.artifact import large_chunks, open_blobs
from api.services.ai_catalog.kinds.artifact_upload import (
    ARTIFACT_UPLOAD,
    MAX_PARTS,
    PartNumber,
    UploadPart,
    UploadState,
)
from api.services.ai_catalog.logic.file_links import FileLink, FileLinks, LinkSeconds
from api.services.ai_catalog.upload_tables import ARTIFACT_UPLOAD_PART as PARTS
from core.db import upsert
from core.errors import Conflict, InvalidPayload, NotFound


class PutPart(Request):
    """A small part. `PUT /artifact-files/uploads/<id>/<number>` takes larger ones as a stream."""

    number: PartNumber
    """Number of the part, from 1."""

    content: Annotated[Base64Bytes, Field(max_length=1_000_000)]
    """Content in base64."""


class PresignParts(Request):
    """Parts to sign links for."""

    numbers: Annotated[list[PartNumber], Field(min_length=1, max_length=1000)]
    """Numbers of the parts."""

    seconds: LinkSeconds = 3600
    """Time until the links expire, in seconds."""


class PartLink(Model):
    """A link that takes one part."""

    number: int
    """Number of the part."""

    url: str
    """URL for a PUT with the content. Only the path if the setting `url` is empty."""


class PartLinks(Model):
    """Links that take the parts of an upload, without further credentials."""

    links: list[PartLink]
    """The links, in the order of the request."""

    expires_at: datetime
    """Time at which they expire. They also end with the token that signed them."""


@ARTIFACT_UPLOAD.command("presign-parts", request=PresignParts, result=PartLinks, secret=True, past="parts_presigned")
def presign_parts_artifact_upload(unit: Unit, upload: Row, request: PresignParts) -> PartLinks:
    """Signs links with which a client sends parts without a token, for example from another machine.

    A link takes one part until it expires, as long as the caller's token is valid and the caller may store parts.
    """
    links = unit.platform.part(FileLinks)
    expires_at = unit.now + timedelta(seconds=request.seconds)
    token = unit.principal.token_id
    return PartLinks(
        links=[
            PartLink(number=number, url=links.url(FileLink(token, upload.id, number, int(expires_at.timestamp()))))
            for number in request.numbers
        ],
        expires_at=expires_at,
    )


@ARTIFACT_UPLOAD.action("put-part", request=PutPart, result=UploadPart, past="part_received", outside=True)
async def put_part_artifact_upload(ctx: Context, artifact_upload: str, request: PutPart) -> UploadPart:
    """Stores a small part of an upload. A part with this number is replaced."""

    async def content() -> AsyncIterator[bytes]:
        yield request.content

    return await store_part(ctx, artifact_upload, request.number, content())


async def store_part(ctx: Context, upload: str, number: int, content: AsyncIterable[bytes]) -> UploadPart:
    """Stores a part of an upload. A part with this number is replaced.

    Raises:
        NotFound: there is no such upload that the caller can see.
        PermissionDenied: the caller may not store parts of it.
        Conflict: it is completed.
        InvalidPayload: the number is not one of a part.
    """
    if not 1 <= number <= MAX_PARTS:
        fault = {"pointer": "/number", "detail": f"must be between 1 and {MAX_PARTS}"}
        raise InvalidPayload(f"Parts are numbered from 1 to {MAX_PARTS}.", errors=[fault])

    def open_upload(unit: Unit) -> Row:
        row = ARTIFACT_UPLOAD.row(unit, upload, "put_part")
        if row.state != UploadState.OPEN.value:
            raise Conflict(f"The upload {upload} is complete. Begin another one.")
        return row

    row = await ctx.read(open_upload)
    blobs = open_blobs(ctx.platform)
    writer = await ctx.compute(blobs.part_writer, row.project_id, row.id, number)
    try:
        async for chunk in large_chunks(content):
            await ctx.compute(writer.write, chunk)
        digest = await ctx.compute(writer.finish)
    except BaseException:
        writer.abort()
        raise

    def store(unit: Unit) -> UploadPart:
        part = {"upload_id": open_upload(unit).id, "number": number}
        upsert(unit.connection, PARTS, part, {"size": writer.size, "digest": digest})
        return UploadPart(number=number, size=writer.size, digest=digest)

    try:
        return await ctx.write(store)
    except NotFound:  # it was deleted in the meantime, with the parts that it had
        await ctx.compute(blobs.remove_parts, row.project_id, row.id)
        raise
