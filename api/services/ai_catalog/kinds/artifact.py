"""Artifacts: files of runs and logged models, stored once for each project by the digest of their content."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime
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
from api.services.ai_catalog.model_tables import MODEL_VERSION
from core.errors import Conflict

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

    def allowed(unit: Unit) -> Row:
        row = parent_row(unit, parent)
        if row._mapping.get("state") == LoggedModelState.READY.value:
            raise Conflict(f"The files of the model {parent} are complete. Log another model.")
        unit.require(ARTIFACT.permission("create"), unit.call.securable)
        _refuse_overlap(unit, parent, path)
        _refuse_registered(unit, parent, path)
        return row

    # Checked before the content is read, and again in the transaction.
    row = await ctx.read(allowed)
    writer = await ctx.compute(open_blobs(ctx.platform).writer, row.project_id)
    try:
        async for chunk in _large(content):
            await ctx.compute(writer.write, chunk)
        digest = await ctx.compute(writer.finish)
    except BaseException:
        writer.abort()
        raise

    def store(unit: Unit) -> Artifact:
        row = allowed(unit)
        # The parent is locked, so that two uploads can't make one path a file and a folder.
        unit.connection.execute(TABLE.delete().where(TABLE.c.parent_id == parent, TABLE.c.path == path))
        return ARTIFACT.add(
            unit,
            organization_id=row.organization_id,
            project_id=row.project_id,
            parent_id=parent,
            path=path,
            digest=digest,
            size=writer.size,
            created_at=unit.now,
            created_by=unit.principal.name,
        )

    return await ctx.write(store)


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


async def _large(content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yields the content in chunks that are worth a switch to another thread."""
    pending = bytearray()
    async for part in content:
        pending += part
        if len(pending) >= _CHUNK_BYTES:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)
