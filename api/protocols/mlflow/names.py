"""Names of MLflow, which are free text, and names of resources, which are not.

A resource that MLflow creates has a name that is derived from MLflow's, and MLflow's as its title. Both are unique in
their project.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from api.kernel.kinds import standard
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.logic.derived_names import derived_name


def normal(name: str) -> str:
    """Returns a name in the form in which it is stored."""
    return unicodedata.normalize("NFC", name).strip()


def mlflow_name(resource: Any) -> str:
    """Returns the name of a resource in MLflow."""
    title: str = resource.spec.title
    return title if derived_name(title) == resource.name else str(resource.name)


def named(unit: Unit, kind: ResourceKind[Any], project: str, name: str) -> Stored | None:
    """Returns the resource of a project with this name in MLflow, if the caller can see it."""
    select = standard.visible(unit, kind).where(
        RESOURCE.c.project_id == project, RESOURCE.c.name == derived_name(normal(name))
    )
    row = unit.connection.execute(select).first()
    found = store.stored(row) if row else None
    return found if found and mlflow_name(kind.resource(found)) == normal(name) else None
