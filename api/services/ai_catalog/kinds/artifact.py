"""Artifacts: files of runs and logged models, stored once for each project by the digest of their content."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.artifact_tables import ARTIFACT as TABLE
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL, LoggedModelState
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.logic.artifact_paths import normal_path
from api.services.ai_catalog.logic.file_links import FileLink, FileLinks, LinkSeconds
from api.services.ai_catalog.model_tables import MODEL_VERSION
from core.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from lakehouse.blobs import Blobs

_CHUNK_BYTES = 1_048_576


class Artifact(Model):
    """A file of a run or logged model."""

    id: str
    """Id of the artifact."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    parent_id: str
    """Id of the run or logged model that it belongs to."""

    path: str
    """Path in it, such as `plots/roc.png`."""

    digest: str
    """SHA-256 of the content, in hexadecimal digits."""

    size: int
    """Size of the content, in bytes."""

    created_at: datetime
    """Time at which the content was uploaded."""

    created_by: str
    """Name of the principal that uploaded it."""


class NewArtifact(Request):
    """A small file of a run or logged model. The path of MLflow's API takes larger files as a stream."""

    parent: Annotated[str, Field(max_length=64)]
    """Id of the run or logged model."""

    path: Annotated[str, Field(min_length=1, max_length=1000)]
    """Path in it, such as `plots/roc.png`. An artifact at this path is replaced."""

    text: Annotated[str, Field(max_length=5_000_000)]
    """Content, as text in UTF-8."""


class Verified(Model):
    """The result of a verification."""

    digest: str
    """Digest of the content that is stored. It is the digest of the artifact."""

    size: int
    """Size of the content, in bytes."""


class PresignArtifact(Request):
    """How long the link is valid."""

    seconds: LinkSeconds = 3600
    """Time until the link expires, in seconds."""


class DownloadLink(Model):
    """A link to the content of an artifact, without further credentials."""

    url: str
    """URL for a GET. Only the path if the setting `url` is empty."""

    expires_at: datetime
    """Time at which it expires. It also ends with the token that signed it."""


ARTIFACT = TableKind(
    Artifact,
    TABLE,
    plural="artifacts",
    prefix="art",
    filter_by=("parent_id", "path", "digest", "size", "created_by", "created_at"),
)


@ARTIFACT.create(request=NewArtifact, result=Artifact)
async def create_artifact(ctx: Context, request: NewArtifact) -> Artifact:
    """Stores a small text as a file of a run or logged model."""

    async def content() -> AsyncIterator[bytes]:
        yield request.text.encode()

    return await store_artifact(ctx, request.parent, request.path, content())


@ARTIFACT.action("verify", request=Request, result=Verified, reads=True)
async def verify_artifact(ctx: Context, artifact: str, request: Request) -> Verified:
    """Reads the whole content of an artifact, and compares it with its digest."""
    row = await ctx.read(lambda unit: ARTIFACT.row(unit, artifact, "verify"))
    size = await ctx.compute(open_blobs(ctx.platform).verify, row.project_id, row.digest)
    return Verified(digest=row.digest, size=size)


@ARTIFACT.command("presign", request=PresignArtifact, result=DownloadLink, secret=True)
def presign_artifact(unit: Unit, artifact: Row, request: PresignArtifact) -> DownloadLink:
    """Signs a link with which anyone downloads the content until it expires.

    The link ends earlier if the caller's token is revoked, or if the caller may no longer read the artifact.
    """
    expires_at = unit.now + timedelta(seconds=request.seconds)
    link = FileLink(unit.principal.token_id, artifact.id, 0, int(expires_at.timestamp()))
    return DownloadLink(url=unit.platform.part(FileLinks).url(link), expires_at=expires_at)


@ARTIFACT.deletion()
def delete_artifact(unit: Unit, artifact: Row) -> None:
    """Deletes an artifact permanently, unless a version of a registered model names it."""
    _refuse_registered(unit, artifact.parent_id, artifact.path)
    unit.call.note(path=artifact.path, digest=artifact.digest)
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == artifact.id))


async def store_artifact(ctx: Context, parent: str, path: str, content: AsyncIterable[bytes]) -> Artifact:
    """Stores a stream as a file of a run or logged model. The file is visible when it is complete.

    Raises:
        NotFound: there is no such run or model that the caller can see, or it is deleted.
        PermissionDenied: the caller may not create artifacts in its project.
        InvalidArgument: the path is not valid.
        Conflict: a part of the path is a file, the path is a folder, the files of the model are complete, or a version
            of a registered model names the path.
    """
    path = normal_path(path)
    # Checked before the content is read, and again in the transaction.
    row = await ctx.read(lambda unit: writable_parent(unit, parent, path))
    writer = await ctx.compute(open_blobs(ctx.platform).writer, row.project_id)
    try:
        async for chunk in large_chunks(content):
            await ctx.compute(writer.write, chunk)
        digest = await ctx.compute(writer.finish)
    except BaseException:
        writer.abort()
        raise
    return await ctx.write(lambda unit: add_artifact(unit, parent, path, digest=digest, size=writer.size))


def writable_parent(unit: Unit, parent: str, path: str) -> Row:
    """Returns the run or logged model in which the caller may store a file at a path. Raises as `store_artifact`."""
    row = parent_row(unit, parent)
    if row._mapping.get("state") == LoggedModelState.READY.value:
        raise Conflict(f"The files of the model {parent} are complete. Log another model.")
    unit.require(ARTIFACT.permission("create"), unit.call.securable)
    _refuse_overlap(unit, parent, path)
    _refuse_registered(unit, parent, path)
    return row


def add_artifact(unit: Unit, parent: str, path: str, *, digest: str, size: int) -> Artifact:
    """Makes a stored blob a file of a run or logged model. Raises as `store_artifact`."""
    # The parent is locked, so that two uploads can't make one path a file and a folder.
    row = writable_parent(unit, parent, path)
    unit.connection.execute(TABLE.delete().where(TABLE.c.parent_id == parent, TABLE.c.path == path))
    artifact = ARTIFACT.add(
        unit,
        organization_id=row.organization_id,
        project_id=row.project_id,
        parent_id=parent,
        path=path,
        digest=digest,
        size=size,
        created_at=unit.now,
        created_by=unit.principal.name,
    )
    if not open_blobs(unit.platform).exists(row.project_id, digest):
        # An earlier blob with the same content was removed at the same moment.
        raise Unavailable("The file was removed while it was stored. Send it again.", retry_after_seconds=1)
    return artifact


def parent_row(unit: Unit, id: str) -> Row:
    """Returns the run or logged model with this id. Raises as `TableKind.row`."""
    return (LOGGED_MODEL if id.startswith(f"{LOGGED_MODEL.prefix}_") else RUN).row(unit, id)


def open_blobs(platform: Platform) -> Blobs:
    """Returns the blobs of the lakehouse."""
    return platform.part(_open_blobs)


def _open_blobs(platform: Platform) -> Blobs:
    from lakehouse.blobs import Blobs

    return Blobs(platform.part(open_tables).storage)


def _refuse_overlap(unit: Unit, parent: str, path: str) -> None:
    parts = path.split("/")
    folders = ["/".join(parts[:n]) for n in range(1, len(parts))]
    inside = sa.func.substr(TABLE.c.path, 1, len(path) + 1) == f"{path}/"
    overlapping = sa.or_(TABLE.c.path.in_(folders), inside)
    select = sa.select(TABLE.c.path).where(TABLE.c.parent_id == parent, overlapping).limit(1)
    if found := unit.connection.execute(select).scalar():
        raise Conflict(f"{found!r} is an artifact already. A path can't be a file and a folder.")


def _refuse_registered(unit: Unit, parent: str, path: str) -> None:
    version = MODEL_VERSION.c
    inside = sa.func.substr(sa.literal(path), 1, sa.func.length(version.path) + 1) == version.path + "/"
    names = sa.or_(version.path == "", version.path == path, inside)
    select = sa.select(version.version).where(version.parent_id == parent, version.deleted_at.is_(None), names)
    if number := unit.connection.execute(select.limit(1)).scalar():
        raise Conflict(f"Version {number} of a registered model names {path!r}. Its files can't change.")


async def large_chunks(content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yields the content in chunks that are worth a switch to another thread."""
    pending = bytearray()
    async for part in content:
        pending += part
        if len(pending) >= _CHUNK_BYTES:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)
