"""Stored files that no run, logged model, model version, or upload of a project needs any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import OPERATION
from api.services.ai_catalog.artifact_tables import ARTIFACT
from api.services.ai_catalog.model_tables import LOGGED_MODEL, MODEL_VERSION
from api.services.ai_catalog.run_tables import RUN
from api.services.ai_catalog.upload_tables import ARTIFACT_UPLOAD

if TYPE_CHECKING:
    from lakehouse.blobs import Blobs

GRACE = timedelta(days=1)
"""Age from which a file that nothing names is unneeded. Its upload may not be complete before."""


class UnneededReason(StrEnum):
    """Why a file is unneeded.

    DELETED_PARENT: its run or logged model was deleted long ago. UNNAMED: no artifact has this content. INCOMPLETE: its
    upload was interrupted. EXPIRED_UPLOAD: the parts of an upload that was not completed in time.
    """

    DELETED_PARENT = "DELETED_PARENT"
    UNNAMED = "UNNAMED"
    INCOMPLETE = "INCOMPLETE"
    EXPIRED_UPLOAD = "EXPIRED_UPLOAD"


@dataclass(frozen=True, slots=True)
class UnneededFile:
    """An unneeded file."""

    project: str
    """Id of the project."""
    reason: UnneededReason
    name: str
    """Id of the artifact, digest of the content, name of the incomplete file, or id of the upload."""
    parent: str
    """Id of the run or logged model. Empty if there is none."""
    path: str
    """Path in the run or logged model. Empty if there is none."""
    size: int
    """Size in bytes. 0 for an upload, whose parts are not measured."""
    since: datetime
    """Time since which it is unneeded, or of its last change."""


_RUNNING = sa.select(OPERATION.c.id).where(
    OPERATION.c.project_id == sa.bindparam("project"), OPERATION.c.finished_at.is_(None)
)
"""Operations that can store files in parts, as uploads do."""


def unneeded_files(
    connection: Connection, blobs: Blobs, project: str, now: datetime, deleted_before: datetime
) -> Iterator[UnneededFile]:
    """Yields the unneeded files of a project.

    Args:
        connection: a connection to the metadata database.
        blobs: the stored files.
        project: id of the project.
        now: the current time.
        deleted_before: time before which a run or logged model was deleted, so that its files are unneeded.
    """
    yield from _of_deleted(connection, project, deleted_before)
    stored = list(blobs.stored(project))
    named = _named(connection, project)
    for file in stored:
        if file.name not in named and file.changed_at < now - GRACE:
            yield UnneededFile(project, UnneededReason.UNNAMED, file.name, "", "", file.size, file.changed_at)
    for file in blobs.incomplete(project):
        if file.changed_at < now - GRACE:
            yield UnneededFile(project, UnneededReason.INCOMPLETE, file.name, "", "", file.size, file.changed_at)
    uploads = sa.select(ARTIFACT_UPLOAD.c.id, ARTIFACT_UPLOAD.c.expires_at, ARTIFACT_UPLOAD.c.state)
    known = {row.id: row for row in connection.execute(uploads.where(ARTIFACT_UPLOAD.c.project_id == project))}
    running = set(connection.execute(_RUNNING, {"project": project}).scalars())
    for id in blobs.uploads(project):
        row = known.get(id)
        if id in running:
            continue
        if row is None or row.expires_at < now or row.state != "OPEN":
            since = row.expires_at if row else now
            yield UnneededFile(project, UnneededReason.EXPIRED_UPLOAD, id, "", "", 0, since)


def forget(connection: Connection, project: str, files: Sequence[UnneededFile], deleted_before: datetime) -> set[str]:
    """Deletes the artifacts and uploads of unneeded files. Returns the digests that no artifact has any more.

    An artifact that is needed again, because its parent was restored, stays.
    """
    wanted = {file.name for file in files if file.reason is UnneededReason.DELETED_PARENT}
    ids = [file.name for file in _of_deleted(connection, project, deleted_before) if file.name in wanted]
    digests = set(connection.execute(sa.select(ARTIFACT.c.digest).where(ARTIFACT.c.id.in_(ids))).scalars())
    connection.execute(ARTIFACT.delete().where(ARTIFACT.c.id.in_(ids)))
    uploads = [file.name for file in files if file.reason is UnneededReason.EXPIRED_UPLOAD]
    connection.execute(
        ARTIFACT_UPLOAD.delete().where(ARTIFACT_UPLOAD.c.id.in_(uploads), ARTIFACT_UPLOAD.c.project_id == project)
    )
    return digests - _named(connection, project, digests)


def remove(connection: Connection, blobs: Blobs, project: str, names: Collection[str], now: datetime) -> int:
    """Deletes stored files that nothing names now. Returns how many."""
    digests = {name for name in names if "/" not in name}
    unnamed = set(names) - _named(connection, project, digests)
    return sum(blobs.remove(project, name, before=now - GRACE) for name in sorted(unnamed))


def _of_deleted(connection: Connection, project: str, before: datetime) -> Iterator[UnneededFile]:
    """Yields the artifacts of runs and logged models that were deleted long ago, unless a model version names them."""
    version = MODEL_VERSION.c
    inside = sa.func.substr(ARTIFACT.c.path, 1, sa.func.length(version.path) + 1) == version.path + "/"
    published = sa.exists().where(
        version.parent_id == ARTIFACT.c.parent_id,
        sa.or_(version.path == "", version.path == ARTIFACT.c.path, inside),
        sa.or_(version.deleted_at.is_(None), version.deleted_at >= before),
    )
    for parent in (RUN, LOGGED_MODEL):
        select = (
            sa.select(ARTIFACT, parent.c.deleted_at)
            .join(parent, parent.c.id == ARTIFACT.c.parent_id)
            .where(ARTIFACT.c.project_id == project, parent.c.deleted_at < before, ~published)
            .order_by(ARTIFACT.c.id)
        )
        for row in connection.execute(select):
            yield UnneededFile(
                project, UnneededReason.DELETED_PARENT, row.id, row.parent_id, row.path, row.size, row.deleted_at
            )


def _named(connection: Connection, project: str, digests: Collection[str] | None = None) -> set[str]:
    """Returns those of these digests, or of all, that an artifact of the project has."""
    select = sa.select(ARTIFACT.c.digest).where(ARTIFACT.c.project_id == project).distinct()
    if digests is not None:
        select = select.where(ARTIFACT.c.digest.in_(list(digests)))
    return set(connection.execute(select).scalars())
