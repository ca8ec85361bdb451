"""Preferences: how each user likes the console, and what they keep in it."""

from __future__ import annotations

import zoneinfo
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import AfterValidator, Field, TypeAdapter
from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.kinds.encoded import etag_of
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.resource import Title
from api.kernel.kinds.unit import Unit
from api.kernel.models import Filter, Model, Request
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.services.admin.preference_tables import PREFERENCES as TABLE
from core.errors import InvalidPayload

CURRENT = "current"

PREFERENCES = Kind(
    "preferences",
    plural="preferences",
    title="Preferences",
    description="How a user likes the console, and what they keep in it. `current` are those of the caller.",
    example=CURRENT,
    powers={"update": Power.NOTHING, "reset": Power.NOTHING},
)


class Theme(StrEnum):
    """Colors of the console. SYSTEM follows the operating system."""

    SYSTEM = "SYSTEM"
    LIGHT = "LIGHT"
    DARK = "DARK"
    HIGH_CONTRAST = "HIGH_CONTRAST"


class Density(StrEnum):
    """Height of rows."""

    COMFORTABLE = "COMFORTABLE"
    COMPACT = "COMPACT"


def _known_zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError("is not the name of a time zone, such as Europe/Berlin")
    return name


# A second slash would lead to another site.
Path = Annotated[str, Field(max_length=2000, pattern=r"^/([^/\\].*)?$", examples=["/admin/users"])]
TimeZone = Annotated[str, Field(max_length=64, examples=["Europe/Berlin"]), AfterValidator(_known_zone)]
ColumnName = Annotated[str, Field(max_length=200)]
ListName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}/[a-z0-9-]{1,64}$", examples=["admin/users"])]
Columns = Annotated[list[ColumnName], Field(max_length=100)]


class Favorite(Request):
    """A page that the user marked."""

    path: Path
    """Path of the page in the console."""

    title: Title
    """What the page is called."""


class SavedFilter(Request):
    """A view of a list under a name."""

    name: Title
    """Name of the view, unique in its list."""

    list: ListName
    """The list: its service and the plural of its kind."""

    filter: Filter = ""
    """Filter in CEL."""

    order_by: Annotated[str, Field(max_length=100)] = ""
    """Field to order by, optionally followed by ` desc`."""

    columns: Columns = []
    """Columns of the list. Empty for the usual ones."""


class Preferences(Model):
    """The preferences of the caller."""

    theme: Theme
    """Colors of the console."""

    density: Density
    """Height of rows."""

    time_zone: str | None
    """Time zone of the times that the console shows. Null for that of the browser."""

    favorites: list[Favorite]
    """Marked pages, in the order that the user chose."""

    columns: dict[str, list[str]]
    """Columns of lists, by service and plural, such as `admin/users`."""

    saved_filters: list[SavedFilter]
    """Views of lists."""


class PreferencesChange(Request):
    """Changes as JSON merge-patch: absent fields stay as they are, null resets a field. Lists are replaced."""

    theme: Annotated[Theme, Field(strict=False)] | None = None
    """Colors of the console."""

    density: Annotated[Density, Field(strict=False)] | None = None
    """Height of rows."""

    time_zone: TimeZone | None = None
    """Time zone of the times that the console shows."""

    favorites: Annotated[list[Favorite], Field(max_length=100)] | None = None
    """Marked pages."""

    columns: Annotated[dict[ListName, Columns], Field(max_length=200)] | None = None
    """Columns of lists, by service and plural. All of them."""

    saved_filters: Annotated[list[SavedFilter], Field(max_length=200)] | None = None
    """Views of lists."""


_DEFAULTS: dict[str, Any] = {
    "theme": Theme.SYSTEM,
    "density": Density.COMFORTABLE,
    "time_zone": None,
    "favorites": [],
    "columns": {},
    "saved_filters": [],
}
_ADAPTER = TypeAdapter(Preferences)


@PREFERENCES.get(result=Preferences, role=Role.VIEWER, own=True)
async def get_preferences(ctx: Context, preferences: str) -> Preferences:
    """Returns the preferences of the caller."""
    _check(preferences)
    return _preferences(await ctx.query(_read, ctx.principal.id))


@PREFERENCES.update(request=PreferencesChange, result=Preferences, role=Role.VIEWER, own=True, versioned=True)
async def update_preferences(ctx: Context, preferences: str, request: PreferencesChange) -> Preferences:
    """Changes preferences of the caller."""
    _check(preferences)
    changes = request.model_dump(mode="json", exclude_unset=True)
    if not changes:
        raise InvalidPayload("Nothing to change: send at least one preference.")

    def change(unit: Unit) -> Preferences:
        before = _read(unit.connection, unit.principal.id)
        ctx.require_match(etag_of(_ADAPTER.dump_json(_preferences(before))))
        value = {name: chosen for name, chosen in (before | changes).items() if chosen is not None}
        unit.call.note(changed=sorted(changes))
        _write(unit, value)
        return _preferences(value)

    return await ctx.write(change)


@PREFERENCES.action("reset", request=Request, result=Preferences, role=Role.VIEWER, own=True)
async def reset_preferences(ctx: Context, preferences: str, request: Request) -> Preferences:
    """Resets all preferences of the caller, and removes what they saved."""
    _check(preferences)

    def change(unit: Unit) -> Preferences:
        unit.connection.execute(TABLE.delete().where(TABLE.c.principal_id == unit.principal.id))
        return _preferences({})

    return await ctx.write(change)


def _check(id: str) -> None:
    if id != CURRENT:
        raise PREFERENCES.unknown(id)


def _read(connection: Connection, principal_id: str) -> dict[str, Any]:
    """Returns what a principal changed."""
    value = connection.execute(sa.select(TABLE.c.value).where(TABLE.c.principal_id == principal_id)).scalar()
    return dict(value or {})


def _write(unit: Unit, value: dict[str, Any]) -> None:
    own = TABLE.c.principal_id == unit.principal.id
    values = {"value": value, "updated_at": unit.now}
    if not unit.connection.execute(TABLE.update().where(own).values(values)).rowcount:
        owner = {"principal_id": unit.principal.id, "organization_id": unit.principal.organization_id}
        unit.connection.execute(TABLE.insert().values(owner | values))


def _preferences(value: dict[str, Any]) -> Preferences:
    return _ADAPTER.validate_python(_DEFAULTS | value)
