"""Settings of passwords, logins, keys, and tokens that admins change at run time."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import passwords
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.services.admin.logic import key_life, password_policy, settings_effect
from api.services.admin.logic.password_policy import MAX_HISTORY, PLATFORM, Policy
from core.errors import InvalidPayload, NotFound

_NULLABLE = ("session_hours",)
Audience = Annotated[str, Field(pattern=r"^[!-~]{1,256}$", examples=["https://minio.example.org"])]

SETTINGS = Kind(
    "settings",
    plural="settings",
    title="Settings",
    description="Settings of passwords, logins, keys, and tokens on the whole platform. The only id is `platform`.",
    example=PLATFORM,
    powers={
        "update": Power.REMOVES_LIMIT,
    },
)


class Settings(Model):
    """The present settings."""

    password_min_length: int
    """Minimum number of characters in a password."""

    password_history: int
    """Number of former passwords that can't be used again. 0 for none."""

    password_max_days: int
    """Days after which a password must be changed at the next login. 0 for never."""

    session_hours: int | None
    """Hours until a session expires. Null for the value that the operator configured."""

    key_max_days: int
    """Maximum days until an API key expires, counted from when it was issued."""

    mfa_required: bool
    """Whether logins with a password also require a one-time password."""

    token_audiences: list[str]
    """Other systems that signed tokens can be issued for."""


class SettingsChange(Request):
    """A change of settings."""

    password_min_length: Annotated[int, Field(ge=passwords.MIN_LENGTH, le=128)] | None = None
    """Minimum number of characters in a password. Existing passwords remain valid."""

    password_history: Annotated[int, Field(ge=0, le=MAX_HISTORY)] | None = None
    """Number of former passwords that can't be used again. 0 for none."""

    password_max_days: Annotated[int, Field(ge=0, le=3660)] | None = None
    """Days after which a password must be changed at the next login. 0 for never."""

    session_hours: Annotated[int, Field(ge=1, le=8760)] | None = None
    """Hours until a session expires. Null for the value that the operator configured. Existing sessions are kept."""

    key_max_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    """Maximum days until an API key expires, counted from when it was issued. A lower value shortens existing keys."""

    mfa_required: bool | None = None
    """Whether logins with a password require a one-time password. Users without one can only set it up."""

    token_audiences: Annotated[list[Audience], Field(max_length=100)] | None = None
    """Other systems that signed tokens can be issued for. Every user can then get one about themselves."""


class SettingsPreview(Model):
    """Effect that a change of settings would have now."""

    settings: Settings
    """The settings after the change."""

    loosens: bool
    """Whether the settings become less strict, which only a caller with every right on the platform can do."""

    shortened_keys: int
    """Number of valid API keys that would expire earlier."""

    expired_passwords: int
    """Number of users that must change their password at the next login."""

    unenrolled_users: int
    """Number of users with a password that must set up a one-time password at the next login."""


@SETTINGS.get(result=Settings, role=Role.ADMIN)
async def get_settings(ctx: Context, settings: str) -> Settings:
    """Returns the settings of passwords, logins, keys, and tokens."""
    _check(settings)
    return _settings(await ctx.query(password_policy.load))


@SETTINGS.update(request=SettingsChange, result=Settings, role=Role.ADMIN)
async def update_settings(ctx: Context, settings: str, request: SettingsChange) -> Settings:
    """Changes the settings of passwords, logins, keys, and tokens.

    To make them less strict, the caller must hold every right on the platform, because the settings protect all rights.
    """
    _check(settings)
    values = _values(request)

    def change(unit: Unit) -> Settings:
        before = password_policy.load(unit.connection)
        policy = dataclasses.replace(before, **values)
        if policy.loosens(before, session_hours=unit.platform.settings.session_hours):
            # A limit for all users also protects those with the most rights.
            escalation.require_rights(unit, [escalation.EVERYTHING])
        password_policy.save(unit.connection, policy, unit.principal.name)
        lowered = policy.key_max_days < before.key_max_days
        if lowered and key_life.shorten(unit.connection, sa.true(), policy.key_max_days, unit.now):
            unit.forget()
        changes = [
            {"pointer": f"/{name}", "before": getattr(before, name), "after": value}
            for name, value in sorted(values.items())
            if value != getattr(before, name)
        ]
        unit.call.note(changes=changes, **values)
        return _settings(policy)

    return await ctx.write(change)


@SETTINGS.action("preview", request=SettingsChange, result=SettingsPreview, reads=True, role=Role.ADMIN)
async def preview_settings(ctx: Context, settings: str, request: SettingsChange) -> SettingsPreview:
    """Returns what a change of settings would affect now. Changes nothing."""
    _check(settings)
    values = _values(request)

    def read(unit: Unit) -> SettingsPreview:
        before = password_policy.load(unit.connection)
        after = dataclasses.replace(before, **values)
        keys = key_life.longer(unit.connection, sa.true(), after.key_max_days, unit.now)
        return SettingsPreview(
            settings=_settings(after),
            loosens=after.loosens(before, session_hours=unit.platform.settings.session_hours),
            shortened_keys=len(keys) if after.key_max_days < before.key_max_days else 0,
            expired_passwords=settings_effect.expired_passwords(unit.connection, after),
            unenrolled_users=settings_effect.unenrolled_users(unit.connection) if after.mfa_required else 0,
        )

    return await ctx.read(read)


def _values(request: SettingsChange) -> dict[str, Any]:
    """Returns the settings to change.

    Raises:
        InvalidPayload: there are none, or one that needs a value has none.
    """
    values: dict[str, Any] = {name: getattr(request, name) for name in request.model_fields_set}
    if not values:
        raise InvalidPayload("Nothing to change: send at least one setting.")
    for name, value in values.items():
        if value is None and name not in _NULLABLE:
            raise InvalidPayload(f"{name} needs a value.", errors=[{"pointer": f"/{name}", "detail": "is null"}])
    return values


def _check(id: str) -> None:
    if id != PLATFORM:
        raise NotFound(f"There are no settings {id!r}. The only settings are {PLATFORM!r}.")


def _settings(policy: Policy) -> Settings:
    return Settings(**dataclasses.asdict(policy))
