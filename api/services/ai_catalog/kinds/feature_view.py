"""Feature views: columns of a table that describe an entity, each row from an event time on."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId, ColumnName
from api.kernel.models import Request
from api.kernel.references import RefersTo
from api.services.ai_catalog.kinds.entity import ENTITY, EntityReference, KeyName
from core.errors import InvalidPayload
from core.ids import is_asset_id

ViewReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.feature_view",))]
"""A feature view."""

MAX_TTL_SECONDS = 100 * 366 * 86_400


def _asset(text: str) -> str:
    if not is_asset_id(text):
        raise ValueError("must be three lower-case names joined by dots, such as flights.features.departures")
    return text


TableId = Annotated[AssetId, AfterValidator(_asset)]
"""Id of an asset that is a table."""


class Feature(Request):
    """A feature of a view."""

    name: ColumnName
    """Name of its column, which is the name of the feature."""

    description: Text = ""
    """Meaning and unit of the values."""


def _distinct(features: list[Feature]) -> list[Feature]:
    names = [feature.name for feature in features]
    if len(set(names)) < len(names):
        raise ValueError("names a feature twice")
    return features


class FeatureViewSpec(Spec):
    """A feature view."""

    title: Title
    """Display name."""

    description: Text = ""
    """What the features say about the entity."""

    entity_id: EntityReference | None = None
    """Entity that the features describe. A view without one can't be read yet."""

    asset: TableId
    """Id of the asset with the rows. Its rights apply to everything that is read through the view."""

    online_asset: TableId | None = None
    """Id of the asset that writes the rows into the online store, an `OnlineFeaturesComponent` on the same table. Null
    if the view isn't served online."""

    keys: dict[KeyName, ColumnName] = {}
    """The column of the table for each key of the entity. A key that is left out has a column of its name."""

    timestamp: ColumnName = "predicted_at"
    """Column with the event time: from when on the row is the newest of its entity."""

    ttl_seconds: Annotated[int, Field(ge=1, le=MAX_TTL_SECONDS)] | None = None
    """Age up to which a row counts. Older rows are missing values. Null: no limit."""

    served_sample: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the entities of online answers whose feature values are stored, to compare them with the table. The rows
    contain no keys. By default none."""

    features: Annotated[list[Feature], Field(max_length=2_000), AfterValidator(_distinct)] = []
    """The features. By default all columns except the keys and the event time."""


class FeatureView(Resource[FeatureViewSpec, NoStatus]):
    """Columns of a table that describe an entity, each row from an event time on."""


FEATURE_VIEW = ResourceKind(
    FeatureView,
    plural="feature-views",
    prefix="fvw",
    level=Level.PROJECT,
    references=(Reference("entity_id", "ai_catalog.entity"),),
    filter_by=("spec.title", "spec.entity_id", "spec.asset"),
)


@FEATURE_VIEW.validate
def require_keys_of_entity(unit: Unit, view: FeatureView, before: FeatureView | None) -> None:
    """Refuses a column for a key that the entity doesn't have, and two keys with the same column."""
    entity = unit.find(ENTITY, view.spec.entity_id) if view.spec.entity_id else None
    names = [key.name for key in ENTITY.resource(entity).spec.keys] if entity else []
    if unknown := [name for name in view.spec.keys if name not in names]:
        fault = {"pointer": f"/spec/keys/{unknown[0]}", "detail": f"is no key of the entity: {', '.join(names)}"}
        raise InvalidPayload(f"The entity has no key {unknown[0]!r}.", errors=[fault])
    columns = [view.spec.keys.get(name, name) for name in names]
    if len({*columns, view.spec.timestamp}) <= len(columns):
        fault = {"pointer": "/spec/keys", "detail": "names a column twice, or the event time"}
        raise InvalidPayload("Each key and the event time need a column of their own.", errors=[fault])
    used = {*columns, view.spec.timestamp}
    if both := [feature.name for feature in view.spec.features if feature.name in used]:
        fault = {"pointer": "/spec/features", "detail": f"{both[0]} is a key or the event time"}
        raise InvalidPayload(f"{both[0]} is a key or the event time, so it is no feature.", errors=[fault])


@FEATURE_VIEW.after("create", "update", "delete", "restore")
def end_epoch(unit: Unit, view: FeatureView) -> None:
    """Makes every process forget the definitions that it keeps in memory."""
    unit.forget()
