"""Trainings of the platform as runs, logged models, and versions of registered models. Each is recorded once.

A version of a model asset is one training. The catalog follows the recorded versions, so the side that trains knows
nothing of it. Everything about a training is stored in one transaction, after its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.lake import versions
from api.kernel.permissions.projects import FORMER, Projects
from api.kernel.platform import Platform, open_lineage, open_tables
from api.kernel.securable import PLATFORM
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.kinds.artifact import open_blobs
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, ExperimentSpec
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL, RegisteredModelSpec
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.onnx_files import model_files
from api.services.ai_catalog.logic.training_rows import BY, StoredTraining, TrainingRows
from api.services.ai_catalog.model_tables import TRAINING
from core import clock, events
from core.db import insert
from core.errors import NotFound
from core.ids import new_id

if TYPE_CHECKING:
    from lakehouse.lineage import Edge
    from serving.registry import ModelRecord

_KIND = "onnx"
"""Kind of the assets that are models."""


def unrecorded(connection: Connection, assets: Sequence[str]) -> list[tuple[str, str]]:
    """Returns recorded versions of assets that the catalog has not recorded as trainings, oldest first."""
    from lakehouse.lineage import LINEAGE_EDGE

    edge = LINEAGE_EDGE.c
    known = sa.exists().where(TRAINING.c.asset == edge.out_asset, TRAINING.c.data_version == edge.out_version)
    select = (
        sa.select(edge.out_asset, edge.out_version)
        .where(edge.out_asset.in_(assets), ~known)
        .group_by(edge.out_asset, edge.out_version)
        .order_by(sa.func.min(edge.sequence))
    )
    return [(row.out_asset, row.out_version) for row in connection.execute(select)]


def models(platform: Platform) -> list[str]:
    """Returns the ids of the model assets. Raises `Unavailable` before the graph was observed."""
    return sorted(id for id, node in platform.orchestrator.view().nodes.items() if _KIND in node.kinds)


def record(platform: Platform, asset: str, version: str) -> bool:
    """Records a version of a model asset. Returns whether it is recorded now.

    It waits while the project is not active, or the experiment or the registered model of the asset is deleted.

    Raises:
        HeadwaterError: the version can't be read now.
    """
    with platform.database.read() as connection:
        project = _project(connection, asset)
        if project is None or _places(connection, project, asset) is None:
            return False
    steps = _steps(platform, asset, version)
    try:
        training, artifact = _training(platform, asset, version)
    except NotFound as error:
        with platform.database.write() as connection:
            project = _project(connection, asset, lock=True)
            return project is not None and _claim(connection, project, asset, version, steps, problem=error.detail)
    stored = _store(platform, project.id, training, artifact, steps)
    with platform.database.write() as connection:
        return _add(connection, stored)


def _add(connection: Connection, stored: StoredTraining) -> bool:
    """Stores all rows, or none if another process did or the project is not active any more."""
    training = stored.training
    project = _project(connection, training.model, lock=True)
    places = None if project is None else _places(connection, project, training.model)
    if project is None or places is None:
        return False
    ids = {
        "run_id": stored.run_id,
        "logged_model_id": stored.model_id,
        "model_version_id": stored.version_id,
    }
    if not _claim(connection, project, training.model, training.data_version, stored.steps, **ids):
        return True
    rows = TrainingRows(connection, stored, project)
    title = training.model
    experiment = places.get(EXPERIMENT.full_name) or _create(
        connection, rows, EXPERIMENT, project, ExperimentSpec(title=title, description=f"Trainings of {title}.")
    )
    model = places.get(REGISTERED_MODEL.full_name) or _create(
        connection,
        rows,
        REGISTERED_MODEL,
        project,
        RegisteredModelSpec(title=title, description=f"Trainings of {title}."),
    )
    found = TRAINING.c.run_id == stored.run_id
    connection.execute(TRAINING.update().where(found).values(experiment_id=experiment, registered_model_id=model))
    rows.add(experiment, model)
    events.append_all(connection, rows.events)
    return True


def _create(connection: Connection, rows: TrainingRows, kind: ResourceKind[Any], project: Stored, spec: Any) -> str:
    """Creates the experiment or registered model of an asset, and returns its id."""
    now = clock.now()
    resource = kind.model.model_construct(
        id=new_id(kind.prefix),
        kind=kind.full_name,
        organization_id=project.organization_id,
        project_id=project.id,
        name=derived_name(spec.title),
        labels={},
        owner=project.owner,
        etag="",
        generation=1,
        version=1,
        created_at=now,
        created_by=BY,
        updated_at=now,
        updated_by=BY,
        deleted_at=None,
        spec=spec,
        status=kind.initial(),
    )
    row = kind.stored(resource, scope_id=kind.name_scope(resource))
    store.insert(connection, row, action=kind.permission("create"), request_id="")
    rows.emit(f"{kind.full_name}.created", row.id)
    return row.id


def _training(platform: Platform, asset: str, version: str) -> tuple[ModelRecord, bytes]:
    """Returns the training that made exactly this version, and its artifact."""
    from serving import registry

    tables = platform.part(open_tables)
    snapshot = versions.snapshot(tables, asset, version)
    found = registry.find(tables, asset, snapshot.version)
    if found.data_version != version:
        raise NotFound(f"{version} of {asset} is no training. The newest one before it is {found.data_version}.")
    return found, registry.artifact(tables, found)


def _steps(platform: Platform, asset: str, version: str) -> list[Edge]:
    edges = platform.part(open_lineage).provenance(asset, version)
    # Later edges are of steps that made the same version again.
    return [edge for edge in edges if (edge.run, edge.step) == (edges[0].run, edges[0].step)]


def _store(
    platform: Platform, project: str, training: ModelRecord, artifact: bytes, steps: Sequence[Edge]
) -> StoredTraining:
    """Stores the files of a training."""
    run_id, model_id = new_id(RUN.prefix), new_id(LOGGED_MODEL.prefix)
    blobs, files = open_blobs(platform), []
    for path, content in sorted(model_files(training, artifact, model_id=model_id, run_id=run_id).items()):
        writer = blobs.writer(project)
        try:
            writer.write(content)
            files.append((path, writer.finish(), len(content)))
        except BaseException:
            writer.abort()
            raise
    moved_at = platform.part(Projects).moved_at(training.model.partition(".")[0])
    foreign = moved_at is not None and steps[0].at < moved_at
    by = FORMER if foreign else steps[0].principal or BY
    return StoredTraining(training, files, run_id, model_id, new_id(MODEL_VERSION.prefix), steps, by)


def _project(connection: Connection, asset: str, *, lock: bool = False) -> Stored | None:
    """Returns the project of an asset, if things can be created in it."""
    name = asset.partition(".")[0]
    found = store.find(connection, "admin.project", name, within=PLATFORM, lock=lock)
    return found if found and not found.deleted_at and found.state == "ACTIVE" else None


def _places(connection: Connection, project: Stored, asset: str) -> dict[str, str] | None:
    """Returns the ids of the experiment and the registered model of an asset, without those that don't exist yet.

    Returns None if one of them is deleted: it must be restored first.
    """
    latest = sa.select(TRAINING.c.experiment_id, TRAINING.c.registered_model_id)
    latest = latest.where(TRAINING.c.asset == asset, TRAINING.c.run_id.is_not(None)).order_by(TRAINING.c.id.desc())
    before = connection.execute(latest.limit(1)).first()
    places: dict[str, str] = {}
    for kind, known in ((EXPERIMENT, before and before[0]), (REGISTERED_MODEL, before and before[1])):
        named = sa.and_(RESOURCE.c.project_id == project.id, RESOURCE.c.name == derived_name(asset))
        select = sa.select(RESOURCE.c.id, RESOURCE.c.deleted_at).where(
            RESOURCE.c.kind == kind.full_name, RESOURCE.c.id == known if known else named
        )
        rows = connection.execute(select).all()
        live = [row.id for row in rows if row.deleted_at is None]
        if rows and not live:
            return None
        if live:
            places[kind.full_name] = live[0]
    return places


def _claim(
    connection: Connection, project: Stored, asset: str, version: str, steps: Sequence[Edge], **ids: Any
) -> bool:
    """Stores that a version is recorded. Returns False if it was before."""
    row = {
        "id": new_id("trn"),
        "organization_id": project.organization_id,
        "project_id": project.id,
        "asset": asset,
        "data_version": version,
        "orchestrator_run": steps[0].run,
        "problem": "",
        "recorded_at": clock.now(),
    } | ids
    claimed = insert(connection, TRAINING).values(row).on_conflict_do_nothing().returning(TRAINING.c.id)
    return connection.execute(claimed).first() is not None
