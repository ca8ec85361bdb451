"""Feature views bound to their tables: which columns are read, and from which version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.lake import versions
from api.kernel.lake.row_access import policies_on, restriction
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.entity import ENTITY, KeyType
from api.services.ai_catalog.kinds.feature_service import FEATURE_SERVICE, FeatureService
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW, FeatureView
from api.services.ai_catalog.logic.definition_cache import DefinitionCache
from api.services.ai_catalog.logic.readable_tables import require_readable
from core.errors import Conflict, InvalidPayload, SchemaMismatch, UnknownColumn
from features.rows import ViewColumns

if TYPE_CHECKING:
    import pyarrow as pa

    from features.online import OnlineStore
    from lakehouse.restrictions import RestrictedSnapshot, Restriction
    from lakehouse.snapshot import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class BoundView:
    """A view as a request reads it."""

    id: str
    name: str
    asset: str
    online_asset: str | None
    keys: Mapping[str, str]
    """The column of the table for each key of the entity."""
    types: Mapping[str, KeyType]
    """The type of each key of the entity."""
    timestamp: str
    ttl: timedelta | None
    features: tuple[str, ...]
    """The features to return. Empty: all columns except the keys and the event time."""
    version: str | None = None
    """Version of the table that is read. `None`: the newest."""
    served_sample: float = 0.0
    """Share of the entities of online answers whose values are stored."""
    restriction: Callable[[Sequence[str]], Restriction | None] | None = None
    """Returns what policies hide from the reader of a version with these columns. `None` if none restricts them."""

    def columns(self, names: Sequence[str]) -> ViewColumns:
        """Returns the columns of the view in a table with these columns."""
        used = {*self.keys.values(), self.timestamp}
        features = self.features or tuple(name for name in names if name not in used)
        return ViewColumns(tuple(self.keys.values()), self.timestamp, features, self.ttl)


def bound(unit: Unit, view: FeatureView, features: Sequence[str] = (), version: str | None = None) -> BoundView:
    """Returns a view with the keys of its entity.

    Args:
        unit: the transaction.
        view: the view.
        features: names of features. By default all features of the view.
        version: version of the table.

    Raises:
        InvalidPayload: the view doesn't declare a feature.
        Conflict: the view has no entity yet.
    """
    if view.spec.entity_id is None:
        raise Conflict(f"The view {view.name} has no entity yet. Set its entity to read its features.")
    entity = unit.get(ENTITY, view.spec.entity_id)
    declared = tuple(feature.name for feature in view.spec.features)
    if declared and (unknown := [name for name in features if name not in declared]):
        raise InvalidPayload(
            f"The view {view.name} has no feature {unknown[0]!r}; it has {', '.join(declared[:50])}.",
            errors=[{"pointer": "/features", "detail": f"{unknown[0]} is no feature of {view.name}"}],
        )
    ttl = view.spec.ttl_seconds
    return BoundView(
        id=view.id,
        name=view.name,
        asset=view.spec.asset,
        online_asset=view.spec.online_asset,
        keys={key.name: view.spec.keys.get(key.name, key.name) for key in entity.spec.keys},
        types={key.name: key.type for key in entity.spec.keys},
        timestamp=view.spec.timestamp,
        ttl=None if ttl is None else timedelta(seconds=ttl),
        features=tuple(features) or declared,
        version=version,
        served_sample=view.spec.served_sample,
    )


def views_of(unit: Unit, service: FeatureService) -> list[BoundView]:
    """Returns the views of a service. Raises `NotFound` for a view or an entity that the caller can't see.

    Raises:
        Conflict: the service has no views yet.
    """
    if not service.spec.views:
        raise Conflict(f"The service {service.name} has no views yet. Add the views that it serves.")
    return [
        bound(unit, unit.get(FEATURE_VIEW, served.view_id), served.features, served.version)
        for served in service.spec.views
    ]


async def readable_view(
    ctx: Context, id: str, verb: str, version: str | None = None, *, partly: bool = False
) -> BoundView:
    """Returns a view whose table the caller can read. With `partly`, the operation applies its restriction."""

    def read(unit: Unit) -> BoundView:
        view = unit.get(FEATURE_VIEW, id, permission=FEATURE_VIEW.permission(verb))
        return bound(unit, view, version=version)

    return await ctx.compute(as_read_by_caller, ctx, await ctx.read(read), partly)


def as_read_by_caller(ctx: Context, view: BoundView, partly: bool) -> BoundView:
    """Returns a view whose table the caller can read, with what policies hide of it. Runs in a worker thread.

    Args:
        ctx: the request.
        view: the view.
        partly: whether the operation applies the restriction of the view.

    Raises:
        UnknownAsset: the caller can't see the table.
        PermissionDenied: the caller can't read it, or a policy restricts them and the operation can't apply it.
    """
    require_readable(ctx, view.asset, partly=partly)
    access = ctx.principal.access
    if not policies_on(ctx.platform, access, view.asset):
        return view
    return replace(view, restriction=lambda columns: restriction(ctx.platform, access, view.asset, columns))


async def readable_service(ctx: Context, id: str, verb: str, *, partly: bool = False) -> list[BoundView]:
    """Returns the views of a service, all of whose tables the caller can read, as `readable_view` does."""

    def read(unit: Unit) -> list[BoundView]:
        return views_of(unit, unit.get(FEATURE_SERVICE, id, permission=FEATURE_SERVICE.permission(verb)))

    async def find() -> list[BoundView]:
        views = await ctx.read(read)
        return [await ctx.compute(as_read_by_caller, ctx, view, partly) for view in views]

    return await ctx.platform.part(DefinitionCache).get(ctx, (FEATURE_SERVICE, id, verb), find)


def chosen_features(view: BoundView, names: Sequence[str], features: Sequence[str]) -> list[str]:
    """Returns the features that a caller chose, or all of the view, in a table with these columns.

    Raises:
        UnknownColumn: the view has no such feature.
    """
    known = view.columns(names).features
    if unknown := [name for name in features if name not in known]:
        raise UnknownColumn(f"{view.name} has no feature {unknown[0]!r}; it has {', '.join(known[:50])}.")
    return list(features or known)


def snapshot_of(platform: Platform, view: BoundView, version: str | None = None) -> Snapshot:
    """Returns the table of a view at the version that the view reads, or at another one."""
    return versions.snapshot(platform.part(open_tables), view.asset, version or view.version)


def seen_snapshot(platform: Platform, view: BoundView, version: str | None = None) -> Snapshot | RestrictedSnapshot:
    """Returns the table of a view as its reader sees it, at the version that the view reads, or at another one."""
    from lakehouse.restrictions import RestrictedSnapshot

    snapshot = snapshot_of(platform, view, version)
    found = view.restriction(snapshot.schema.names) if view.restriction else None
    return snapshot if found is None else RestrictedSnapshot(snapshot, found)


def open_online_store(platform: Platform) -> OnlineStore:
    """Returns the online store of the process."""
    from features.online import open_store

    return open_store(platform.settings)


def require_key_types(view: BoundView, schema: pa.Schema) -> None:
    """Checks that the columns of the keys have the types that the entity declares.

    Raises:
        SchemaMismatch: a column has another type.
    """
    import pyarrow as pa

    from features.rows import is_text

    types = pa.types
    checks = {
        KeyType.INTEGER: types.is_integer,
        KeyType.TEXT: is_text,
        KeyType.BOOLEAN: types.is_boolean,
        KeyType.DATE: types.is_date32,
    }
    for key, column in view.keys.items():
        kind = schema.field(column).type
        if not checks[view.types[key]](kind):
            raise SchemaMismatch(
                f"{view.asset}.{column} is of type {kind}, and the key {key} of the entity is {view.types[key]}."
            )
