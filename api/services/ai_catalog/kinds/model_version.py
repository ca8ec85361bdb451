"""Versions of registered models. A version names exact files, which never change."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.references import RefersTo
from api.services.ai_catalog.artifact_tables import ARTIFACT
from api.services.ai_catalog.kinds.artifact import open_blobs, parent_row
from api.services.ai_catalog.kinds.experiment import Tags
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL, LoggedModelState
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL, ModelStage
from api.services.ai_catalog.logic.artifact_paths import normal_path
from api.services.ai_catalog.logic.file_digests import digest_of
from api.services.ai_catalog.logic.model_lineage import ModelNodes, Recorder
from api.services.ai_catalog.model_tables import MODEL_VERSION as TABLE
from core.errors import Conflict, InvalidArgument, InvalidPayload, NotFound, TableDamaged

_SOURCE = re.compile(r"(?:models:/(?P<model>[^/]+)|runs:/(?P<run>[^/]+)/(?P<path>.+))")
_STORED = re.compile(r"mlflow-artifacts:/[^/]+/(?P<parent>[^/]+)/artifacts(?:/(?P<path>.+))?")


class ModelVersion(Model):
    """A version of a registered model. It names exact files, which never change."""

    id: str
    """Id of the version."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    registered_model_id: str
    """Id of the registered model."""

    version: int
    """Number of the version."""

    source: str
    """Where the files are, as the caller named it."""

    digest: str
    """SHA-256 of the paths and contents of the files at the time of registration."""

    run_id: str | None
    """Id of the run that produced the model. Null if it is unknown."""

    stage: ModelStage
    """Stage. A version that is promoted was approved, if the policy of its model requires it."""

    checks: dict[str, bool]
    """Whether each blocking check of its training passed. Empty unless the platform trained it."""

    description: str
    """Description, in Markdown."""

    tags: dict[str, str]
    """Tags."""

    created_at: datetime
    """Time at which it was registered."""

    created_by: str
    """Name of the principal that registered it."""

    updated_at: datetime
    """Time of its last change."""


class NewModelVersion(Request):
    """A version to register."""

    registered_model_id: Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.registered_model",))]
    """Id of the registered model."""

    source: Annotated[str, Field(min_length=1, max_length=2000)]
    """Files of the model: `models:/<id of a logged model>`, or `runs:/<id of a run>/<path>`."""

    description: Annotated[str, Field(max_length=50_000)] = ""
    """Description, in Markdown."""

    tags: Tags = {}
    """Tags."""


class ModelVersionChange(Request):
    """Changes of a version."""

    description: Annotated[str, Field(max_length=50_000)] | None = None
    """New description."""

    tags: dict[Annotated[str, Field(min_length=1, max_length=250)], Annotated[str, Field(max_length=8000)] | None] = {}
    """Tags to set. Null removes a tag."""


class VerifiedVersion(Model):
    """The result of a verification."""

    intact: bool
    """Whether the stored files are those that were registered."""

    digest: str
    """Digest that the version was registered with."""

    files: int
    """Number of files."""

    damaged: list[str]
    """Paths of files whose stored content is missing or was changed."""


MODEL_VERSION = TableKind(
    ModelVersion,
    TABLE,
    plural="model-versions",
    prefix="mdv",
    filter_by=("registered_model_id", "version", "run_id", "stage", "digest", "created_by", "created_at"),
)


@MODEL_VERSION.creation(request=NewModelVersion, result=ModelVersion)
def create_model_version(unit: Unit, request: NewModelVersion) -> ModelVersion:
    """Registers files of a run, or a logged model that is READY, as the next version of a registered model.

    A source without files is refused.
    """
    model = unit.row(REGISTERED_MODEL, request.registered_model_id, permission=REGISTERED_MODEL.permission("update"))
    parent, path = _files_of(request.source)
    row = parent_row(unit, parent)
    if row.project_id != model.project_id:
        fault = {"pointer": "/source", "detail": "is in another project"}
        raise InvalidPayload("A version must have its files in the project of its model.", errors=[fault])
    is_logged = parent.startswith(f"{LOGGED_MODEL.prefix}_")
    if is_logged and row.state != LoggedModelState.READY.value:
        raise Conflict(f"The logged model {parent} is {row.state}. Finalize it before you register it.")
    files = files_of(unit, parent, path)
    if not files:
        raise Conflict(f"The source has no files: {parent} has no artifact {path or 'at all'}. Upload them first.")
    run = row._mapping.get("run_id") if is_logged else parent
    numbers = sa.select(sa.func.max(TABLE.c.version)).where(TABLE.c.registered_model_id == model.id)
    number = (unit.connection.execute(numbers).scalar() or 0) + 1
    nodes = ModelNodes(unit.connection, model.project_id)
    produced = nodes.logged_model(parent) if is_logged else nodes.run(parent)
    recorder = Recorder(unit.connection, unit.principal.name)
    recorder.record(run or parent, "register", nodes.version(model.id, number), [produced])
    return MODEL_VERSION.add(
        unit,
        organization_id=model.organization_id,
        project_id=model.project_id,
        registered_model_id=model.id,
        version=number,
        source=request.source,
        parent_id=parent,
        path=path,
        digest=digest_of(files),
        run_id=run,
        stage=ModelStage.NONE.value,
        checks={},
        description=request.description,
        tags=request.tags,
        created_at=unit.now,
        created_by=unit.principal.name,
        updated_at=unit.now,
    )


@MODEL_VERSION.modification(request=ModelVersionChange, result=ModelVersion)
def update_model_version(unit: Unit, version: Row, request: ModelVersionChange) -> ModelVersion:
    """Changes the description of a version, and sets or removes tags. Its files never change."""
    tags = {key: value for key, value in {**version.tags, **request.tags}.items() if value is not None}
    description = version.description if request.description is None else request.description
    return MODEL_VERSION.change(unit, version, description=description, tags=tags, updated_at=unit.now)


@MODEL_VERSION.action("verify", request=Request, result=VerifiedVersion, reads=True)
async def verify_model_version(ctx: Context, model_version: str, request: Request) -> VerifiedVersion:
    """Reads all stored files of a version, and compares them with those that were registered."""

    def read(unit: Unit) -> tuple[Row, list[tuple[str, str]]]:
        version = MODEL_VERSION.row(unit, model_version, "verify")
        return version, files_of(unit, version.parent_id, version.path)

    version, files = await ctx.read(read)
    damaged = await ctx.compute(_damaged, ctx, version.project_id, files)
    intact = not damaged and digest_of(files) == version.digest
    return VerifiedVersion(intact=intact, digest=version.digest, files=len(files), damaged=damaged)


@MODEL_VERSION.deletion()
def delete_model_version(unit: Unit, version: Row) -> None:
    """Deletes a version. An alias that names it must be moved first. Its number is never used again."""
    model = unit.get(REGISTERED_MODEL, version.registered_model_id)
    if named := sorted(name for name, number in model.status.aliases.items() if number == version.version):
        raise Conflict(f"The alias {named[0]} names version {version.version}. Move or remove it first.")
    if version.stage == ModelStage.PRODUCTION.value:
        raise Conflict(f"Version {version.version} is at PRODUCTION. Move it to another stage first.")
    unit.connection.execute(TABLE.update().where(TABLE.c.id == version.id).values(deleted_at=unit.now))


def files_of(unit: Unit, parent: str, path: str) -> list[tuple[str, str]]:
    """Returns paths and digests of a file, or of the files in a folder, of a run or logged model, sorted."""
    select = sa.select(ARTIFACT.c.path, ARTIFACT.c.digest).where(ARTIFACT.c.parent_id == parent)
    if path:
        inside = sa.func.substr(ARTIFACT.c.path, 1, len(path) + 1) == f"{path}/"
        select = select.where(sa.or_(ARTIFACT.c.path == path, inside))
    return sorted((row.path, row.digest) for row in unit.connection.execute(select))


def _damaged(ctx: Context, project: str, files: list[tuple[str, str]]) -> list[str]:
    blobs, damaged = open_blobs(ctx.platform), []
    for path, digest in files:
        try:
            blobs.verify(project, digest)
        except (NotFound, TableDamaged):
            damaged.append(path)
    return damaged


def _files_of(source: str) -> tuple[str, str]:
    """Returns the run or logged model of a source, and the path in it."""
    found = _SOURCE.fullmatch(source) or _STORED.fullmatch(source)
    if found is None:
        raise InvalidArgument(
            f"{source[:200]!r} is not a source. Use models:/<id of a logged model> or runs:/<id of a run>/<path>."
        )
    parts = found.groupdict()
    parent = parts.get("model") or parts.get("run") or parts.get("parent") or ""
    path = parts.get("path") or ""
    return parent, normal_path(path.strip("/")) if path.strip("/") else ""
