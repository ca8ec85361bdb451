"""Workspaces: the projects that the caller can see. And what the server can do."""

from __future__ import annotations

from typing import Any

from api.protocols.mlflow.call import MlflowCall
from api.protocols.projects import projects
from core.errors import NotFound


async def server_info(call: MlflowCall) -> dict[str, Any]:
    """Returns what the server can do."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": True,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": True,
        "multipart_downloads_enabled": False,
        "presigned_upload_run_id_supported": False,
        "presigned_upload_model_id_supported": False,
    }


async def list_workspaces(call: MlflowCall) -> dict[str, Any]:
    """Lists the projects."""
    found = await call.read("list_experiments", projects)
    return {"workspaces": [{"name": project.name, "description": ""} for project in found]}


async def get_workspace(call: MlflowCall) -> dict[str, Any]:
    """Returns a project by its name, which is the last part of the path."""
    name = str(call.scope["path"]).rpartition("/")[2]
    found = await call.read("list_experiments", projects)
    if name not in {project.name for project in found}:
        raise NotFound(f"There is no workspace {name!r}.")
    return {"workspace": {"name": name, "description": ""}}


ROUTES = {
    ("GET", "/api/3.0/mlflow/server-info"): server_info,
    ("GET", "/api/3.0/mlflow/workspaces"): list_workspaces,
}
