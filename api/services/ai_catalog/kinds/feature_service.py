"""Feature services: the features that one model uses, from one or more feature views."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import ColumnName
from api.kernel.lake.versions import Version
from api.kernel.models import Request
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW, ViewReference
from core.errors import InvalidPayload


class ServedView(Request):
    """Features of a view that a service includes."""

    view_id: ViewReference
    """The view."""

    features: Annotated[list[ColumnName], Field(max_length=2_000)] = []
    """Names of features. By default all features of the view."""

    version: Version | None = None
    """Version of the view's table that the service is pinned to. Null: it follows the newest version."""


def _distinct(views: list[ServedView]) -> list[ServedView]:
    ids = [view.view_id for view in views]
    if len(set(ids)) < len(ids):
        raise ValueError("names a view twice")
    if any(len(set(view.features)) < len(view.features) for view in views):
        raise ValueError("names a feature twice")
    return views


class FeatureServiceSpec(Spec):
    """A feature service."""

    title: Title
    """Display name."""

    description: Text = ""
    """What the features are for."""

    views: Annotated[list[ServedView], Field(max_length=50), AfterValidator(_distinct)] = []
    """The views and their features. A service without views can't be read yet."""


class FeatureService(Resource[FeatureServiceSpec, NoStatus]):
    """The features that one model uses, from one or more feature views."""


class _Views(Reference):
    """The views of a service."""

    def ids(self, resource: Resource[Any, Any]) -> list[str]:
        """Returns the ids of the views."""
        return [served.view_id for served in resource.spec.views]


FEATURE_SERVICE = ResourceKind(
    FeatureService,
    plural="feature-services",
    prefix="fsv",
    level=Level.PROJECT,
    references=(_Views("views", "ai_catalog.feature_view"),),
    filter_by=("spec.title",),
)


@FEATURE_SERVICE.validate
def require_features(unit: Unit, service: FeatureService, before: FeatureService | None) -> None:
    """Refuses features that a view doesn't declare."""
    for number, served in enumerate(service.spec.views):
        row = unit.find(FEATURE_VIEW, served.view_id)
        declared = [feature.name for feature in FEATURE_VIEW.resource(row).spec.features] if row else []
        if declared and (unknown := [name for name in served.features if name not in declared]):
            fault = {"pointer": f"/spec/views/{number}/features", "detail": f"{unknown[0]} is no feature of the view"}
            raise InvalidPayload(f"The view has no feature {unknown[0]!r}.", errors=[fault])


@FEATURE_SERVICE.after("create", "update", "delete", "restore")
def end_epoch(unit: Unit, service: FeatureService) -> None:
    """Makes every process forget the definitions that it keeps in memory."""
    unit.forget()
