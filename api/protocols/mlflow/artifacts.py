"""Artifacts of runs, as MLflow's client uploads, lists, and downloads them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.protocols.artifact_files import body_of, content_of
from api.protocols.mlflow.call import MlflowCall
from api.protocols.mlflow.runs import any_run, run_id
from api.services.ai_catalog.artifact_tables import ARTIFACT as TABLE
from api.services.ai_catalog.kinds.artifact import ARTIFACT, delete_artifact, parent_row, store_artifact
from api.services.ai_catalog.logic.artifact_paths import normal_path
from core.errors import InvalidArgument, NotFound

ROOT = "/api/2.0/mlflow-artifacts/artifacts"


async def list_of_run(call: MlflowCall) -> dict[str, Any]:
    """Lists the files and folders of a run, or of one of its folders."""
    run, folder = run_id(call), call.text("path", "")
    uri = f"mlflow-artifacts:/{{}}/{run}/artifacts"

    def read(unit: Unit) -> dict[str, Any]:
        experiment = any_run(unit, run).experiment_id
        return {"root_uri": uri.format(experiment), "files": children(unit, run, folder)}

    return await call.read("list_artifacts", read)


async def list_below(call: MlflowCall) -> dict[str, Any]:
    """Lists the files and folders below a path of the artifact store."""
    run, folder = _place(call.text("path", ""), optional=True)

    def read(unit: Unit) -> dict[str, Any]:
        parent_row(unit, run)
        found = children(unit, run, folder)
        # Paths are relative to the folder that the client asked for.
        return {"files": [{**one, "path": one["path"].rpartition("/")[2]} for one in found]}

    return await call.read("list_artifacts", read)


async def upload(call: MlflowCall, http: HttpRequest, path: str) -> Response:
    """Stores the body as an artifact."""
    run, name = _place(path)

    await call.act("create_artifact", lambda ctx: store_artifact(ctx, run, name, body_of(http)), run)
    return Response(b"{}", media_type="application/json")


async def download(call: MlflowCall, path: str) -> Response:
    """Streams the content of an artifact."""
    run, name = _place(path)
    return await send(call, run, name)


async def send(call: MlflowCall, run: str, name: str) -> Response:
    """Returns the content of an artifact of a run, as a stream."""
    path = normal_path(name)
    row = await call.read("get_artifact", lambda unit: _row(unit, run, path))
    return await content_of(call.calls.platform, call.principal, row)


async def delete(call: MlflowCall, path: str) -> Response:
    """Deletes an artifact, or a folder with all artifacts in it."""
    run, name = _place(path, optional=True)

    def write(unit: Unit) -> None:
        paths = _paths(unit, run, name)
        if not paths:
            raise NotFound(f"The run {run[:64]} has no artifact {name[:200]!r}.")
        for id in paths.values():
            delete_artifact(unit, ARTIFACT.row(unit, id, "delete"))
        unit.call.subject = run
        unit.call.note(path=name, deleted=len(paths))

    await call.write("delete_artifact", write, run)
    return Response(b"{}", media_type="application/json")


def placed(folder: str, name: str) -> tuple[str, str]:
    """Returns the run and the path of a file in a folder, which is `<experiment>/<run>/artifacts[/<path>]`."""
    run, path = _place(folder, optional=True)
    return run, normal_path(f"{path}/{name}" if path else name)


def _place(path: str, *, optional: bool = False) -> tuple[str, str]:
    """Returns the run and the path of an artifact, from `<experiment>/<run>/artifacts/<path>`."""
    parts = path.strip("/").split("/", 3) if optional else path.split("/", 3)
    if len(parts) < (3 if optional else 4) or parts[2] != "artifacts":
        raise InvalidArgument(f"{path[:200]!r} is not <experiment>/<run>/artifacts/<path>.")
    return parts[1], parts[3] if len(parts) > 3 else ""


def _row(unit: Unit, run: str, path: str) -> Row:
    select = sa.select(TABLE).where(TABLE.c.parent_id == run, TABLE.c.path == path, ARTIFACT.visible(unit))
    row = unit.connection.execute(select).first()
    if row is None:
        raise NotFound(f"The run {run[:64]} has no artifact {path[:200]!r}.")
    return row


def _paths(unit: Unit, run: str, name: str) -> dict[str, str]:
    """Returns the ids of the artifact with this path, or of all in this folder, by path."""
    select = sa.select(TABLE.c.path, TABLE.c.id).where(TABLE.c.parent_id == run, ARTIFACT.visible(unit))
    if name:
        path = normal_path(name.strip("/"))
        inside = sa.func.substr(TABLE.c.path, 1, len(path) + 1) == f"{path}/"
        select = select.where(sa.or_(TABLE.c.path == path, inside))
    return {row.path: row.id for row in unit.connection.execute(select)}


def children(unit: Unit, parent: str, folder: str) -> list[dict[str, Any]]:
    """Returns the files and folders in a folder of a run or logged model."""
    prefix = f"{normal_path(folder.strip('/'))}/" if folder.strip("/") else ""
    select = sa.select(TABLE.c.path, TABLE.c.size).where(TABLE.c.parent_id == parent, ARTIFACT.visible(unit))
    if prefix:
        select = select.where(sa.func.substr(TABLE.c.path, 1, len(prefix)) == prefix)
    children: dict[str, dict[str, Any]] = {}
    for path, size in unit.connection.execute(select):
        name, _, rest = path[len(prefix) :].partition("/")
        file = {"is_dir": True} if rest else {"is_dir": False, "file_size": size}
        children[f"{prefix}{name}"] = {"path": f"{prefix}{name}", **file}
    return [children[path] for path in sorted(children)]


ROUTES = {
    ("GET", "/api/2.0/mlflow/artifacts/list"): list_of_run,
    ("GET", ROOT): list_below,
}
