"""Feature views and services of a project, by the names that Feast's clients use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.tables import RESOURCE
from api.protocols.projects import projects
from api.services.ai_catalog.kinds.feature_service import FEATURE_SERVICE
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.logic.feature_views import BoundView, bound, views_of
from core.errors import InvalidArgument, NotFound


def project_of(unit: Unit, name: str) -> str:
    """Returns the id of the project in the path, or of the only project that the caller can see.

    Raises:
        NotFound: there is no such project that the caller can see.
        InvalidArgument: the path names none, and the caller can see several projects.
    """
    visible = projects(unit)
    if name:
        for project in visible:
            if name in (project.id, project.name):
                return str(project.id)
        raise NotFound(f"There is no project {name[:128]!r}. The path is /feast/<project>.")
    if len(visible) == 1:
        return str(visible[0].id)
    names = ", ".join(project.name for project in visible[:20]) or "none"
    raise InvalidArgument(f"Add a project to the path: /feast/<project>. You can see: {names}.")


def find_id(unit: Unit, kind: ResourceKind[Any], project: str, name: str) -> str:
    """Returns the id of a view or service of a project that the caller can see.

    Raises:
        NotFound: there is none of this name.
    """
    names = {name, name.replace("_", "-")}
    select = sa.select(*store.COLUMNS).where(
        RESOURCE.c.kind == kind.full_name,
        RESOURCE.c.project_id == project,
        RESOURCE.c.deleted_at.is_(None),
        RESOURCE.c.name.in_(names),
    )
    for row in map(store.stored, unit.connection.execute(select)):
        if unit.allows(f"{kind.full_name}.get", row.securable, row):
            return row.id
    raise NotFound(f"There is no {kind.title.lower()} {name[:128]!r} in the project.")


def service_views(unit: Unit, project: str, name: str) -> list[tuple[str, BoundView]]:
    """Returns the views of a service, each with its name."""
    id = find_id(unit, FEATURE_SERVICE, project, name)
    service = unit.get(FEATURE_SERVICE, id, permission=FEATURE_SERVICE.permission("online-get"))
    return [(view.name, view) for view in views_of(unit, service)]


def referenced_views(unit: Unit, project: str, references: Sequence[str]) -> list[tuple[str, BoundView]]:
    """Returns the views of references such as `view:feature`, each with the name that the client uses.

    Raises:
        InvalidArgument: a reference has another form.
        NotFound: there is no such view.
        InvalidPayload: the view has no such feature.
    """
    features: dict[str, list[str]] = {}
    for reference in references:
        view, _, feature = reference.partition(":")
        if not view or not feature:
            raise InvalidArgument(f"A feature reference is written as view:feature, not {reference[:100]!r}.")
        if "@" in view:
            raise InvalidArgument(f"Versions in feature references are not supported: {reference[:100]!r}.")
        if feature not in features.setdefault(view, []):
            features[view].append(feature)
    found = []
    for name, chosen in features.items():
        id = find_id(unit, FEATURE_VIEW, project, name)
        found.append(
            (name, bound(unit, unit.get(FEATURE_VIEW, id, permission=FEATURE_VIEW.permission("preview")), chosen))
        )
    return found


def online_views(unit: Unit, project: str) -> list[str]:
    """Returns the ids of the views of a project that are served online and that the caller can see."""
    select = sa.select(*store.COLUMNS).where(
        RESOURCE.c.kind == FEATURE_VIEW.full_name, RESOURCE.c.project_id == project, RESOURCE.c.deleted_at.is_(None)
    )
    rows = [store.stored(row) for row in unit.connection.execute(select.order_by(RESOURCE.c.name))]
    visible = [row for row in rows if unit.allows("ai_catalog.feature_view.get", row.securable, row)]
    return [row.id for row in visible if FEATURE_VIEW.resource(row).spec.online_asset]
