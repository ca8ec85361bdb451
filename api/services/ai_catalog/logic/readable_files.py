"""The right to read the files of runs and logged models, which can contain what was read from tables."""

from __future__ import annotations

from api.kernel.lake.copies import require_copy
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import ItemNode
from api.kernel.permissions.projects import Projects
from api.kernel.platform import Platform

_LOGGED_MODELS = "lmd_"
"""Beginning of the ids of logged models. Other files belong to runs."""


def require_readable_files(platform: Platform, access: Access, project_id: str, parent: str) -> None:
    """Requires that the tables that a run or logged model was made from let a principal read its files.

    Runs in a worker thread.

    Raises:
        PermissionDenied: they keep the files closed.
    """
    scheme = "logged-model" if parent.startswith(_LOGGED_MODELS) else "run"
    project = platform.part(Projects).name_of(project_id)
    require_copy(platform, access, str(ItemNode(scheme, str(project), parent)))
