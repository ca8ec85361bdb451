"""Garbage collection of artifacts: what is unneeded is shown first, and then removed."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.projects import Projects
from api.kernel.references import PROJECT, Project
from api.kernel.roles import Role
from api.kernel.securable import Securable, common_ancestor
from api.services.ai_catalog.kinds.artifact import ARTIFACT, open_blobs
from api.services.ai_catalog.logic.unneeded_files import (
    UnneededFile,
    UnneededReason,
    forget,
    remove,
    unneeded_files,
)
from core import clock
from core.errors import Conflict, NotFound

MAX_FILES = 1000
"""Files that one request shows and removes."""


class CollectionQuery(Query):
    """What counts as unneeded."""

    project: Project = ""
    """Id of the project. Defaults to all projects whose files the caller may collect."""

    deleted_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days from which the files of a deleted run or logged model are unneeded."""


class UnneededArtifact(Model):
    """A file that is unneeded."""

    project_id: str
    """Id of the project."""

    reason: UnneededReason
    """Why it is unneeded."""

    name: str
    """Id of the artifact, digest of the content, name of the incomplete file, or id of the upload."""

    parent_id: str | None
    """Id of the run or logged model. Null if there is none."""

    path: str | None
    """Path in the run or logged model. Null if there is none."""

    size: int
    """Size in bytes. 0 for an upload, whose parts are not measured."""

    since: datetime
    """Time since which it is unneeded, or of its last change."""


class CollectionPreview(Model):
    """The files that a collection removes."""

    files: list[UnneededArtifact]
    """The files, at most 1,000."""

    size: int
    """Size of these files in bytes."""

    truncated: bool
    """Whether there are more. Another collection removes them."""

    digest: str
    """Identity of this list, to be sent with the request that removes the files."""


class CollectArtifacts(Request):
    """The list of files to remove."""

    project: Project = ""
    """As in the preview."""

    deleted_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """As in the preview."""

    digest: Annotated[str, Field(max_length=64)]
    """Identity of the list that the preview returned."""


class Collected(Model):
    """What a collection removed."""

    files: int
    """Number of files of the list."""

    stored_files: int
    """Number of stored files that were deleted. Artifacts with the same content share one."""

    truncated: bool
    """Whether there is more to remove."""


@ARTIFACT.collection_read("gc-preview", query=CollectionQuery, result=CollectionPreview, role=Role.ADMIN)
async def gc_preview_artifacts(ctx: Context, query: CollectionQuery) -> CollectionPreview:
    """Shows the files that a garbage collection removes, and why.

    Unneeded are files of runs and logged models that were deleted long ago and that no version of a registered model
    names, content that no artifact names, and what interrupted uploads left. Nothing else is ever removed.
    """
    places = _places(ctx, query.project, "gc_preview")
    files, truncated = await ctx.compute(_found, ctx, places, query.deleted_days, clock.now())
    return CollectionPreview(
        files=[
            UnneededArtifact(
                project_id=file.project,
                reason=file.reason,
                name=file.name,
                parent_id=file.parent or None,
                path=file.path or None,
                size=file.size,
                since=file.since,
            )
            for file in files
        ],
        size=sum(file.size for file in files),
        truncated=truncated,
        digest=_digest(files),
    )


@ARTIFACT.collection_action("gc", request=CollectArtifacts, result=Collected, role=Role.ADMIN, past="collected")
async def gc_artifacts(ctx: Context, request: CollectArtifacts) -> Collected:
    """Removes the files that a preview showed. Refused if the list has changed since.

    If the process is killed, the next collection removes the rest.
    """
    places = _places(ctx, request.project, "gc")
    ctx.securable = common_ancestor(places) if places else ctx.securable
    now = clock.now()
    deleted_before = now - timedelta(days=request.deleted_days)
    files, truncated = await ctx.compute(_found, ctx, places, request.deleted_days, now)
    if _digest(files) != request.digest:
        raise Conflict("What is unneeded has changed since the preview. Preview the collection again.")
    by_project = {place.id: [file for file in files if file.project == place.id] for place in places}

    def store(unit: Unit) -> dict[str, set[str]]:
        unit.call.note(files=len(files), size=sum(file.size for file in files))
        return {id: forget(unit.connection, id, found, deleted_before) for id, found in by_project.items() if found}

    digests = await ctx.write(store)
    removed = 0
    for project, unnamed in ({} if ctx.validate_only else digests).items():
        removed += await ctx.compute(_removed, ctx, project, by_project[project], unnamed, now)
    return Collected(files=len(files), stored_files=removed, truncated=truncated)


def _places(ctx: Context, project: str, verb: str) -> list[Securable]:
    """Returns the project, or all projects whose files the caller may collect.

    Raises:
        NotFound: the caller can't see the project.
        PermissionDenied: the caller may not collect its files.
    """
    permission, access = ARTIFACT.permission(verb), ctx.principal.access
    places = ctx.platform.part(Projects).by_id()
    if not project:
        return [place for _, place in sorted(places.items()) if access.allows(permission, place)]
    place = places.get(project)
    if place is None or not access.allows(f"{PROJECT}.get", place):
        raise NotFound(f"There is no project {project!r}.")
    if not access.allows(permission, place):
        raise denied(permission)
    return [place]


def _found(ctx: Context, places: list[Securable], deleted_days: int, now: datetime) -> tuple[list[UnneededFile], bool]:
    blobs, before = open_blobs(ctx.platform), now - timedelta(days=deleted_days)
    with ctx.platform.database.read() as connection:
        found = chain.from_iterable(unneeded_files(connection, blobs, place.id, now, before) for place in places)
        files = list(islice(found, MAX_FILES + 1))
    return files[:MAX_FILES], len(files) > MAX_FILES


def _removed(ctx: Context, project: str, files: list[UnneededFile], digests: set[str], now: datetime) -> int:
    blobs = open_blobs(ctx.platform)
    stored = (UnneededReason.UNNAMED, UnneededReason.INCOMPLETE)
    names = digests | {file.name for file in files if file.reason in stored}
    with ctx.platform.database.read() as connection:
        removed = remove(connection, blobs, project, names, now)
    for file in files:
        if file.reason is UnneededReason.EXPIRED_UPLOAD:
            blobs.remove_parts(project, file.name)
    return removed


def _digest(files: list[UnneededFile]) -> str:
    names = "\n".join(f"{file.project} {file.reason} {file.name}" for file in files)
    return hashlib.sha256(names.encode()).hexdigest()
