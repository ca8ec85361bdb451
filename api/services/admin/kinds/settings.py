"""Settings: what admins ask of passwords, logins, keys and tokens while the platform runs."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import Field

from api.kernel.credentials import passwords
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.services.admin.logic import password_policy
from api.services.admin.logic.password_policy import LONGEST_HISTORY, PLATFORM, Policy
from core.errors import InvalidPayload, NotFound

_NULLABLE = ("session_hours",)
Audience = Annotated[str, Field(pattern=r"^[!-~]{1,256}$", examples=["https://minio.example.org"])]

SETTINGS = Kind(
    "settings",
    plural="settings",
    title="Settings",
    description="What holds for passwords, logins, keys and tokens on the whole platform. The only id is `platform`.",
    example=PLATFORM,
)


class Settings(Model):
    """What holds now."""

    password_min_length: int
    """Characters a password has at least."""

    password_history: int
    """How many former passwords cannot be used again; 0 for none."""

    password_max_days: int
    """Days after which a password must be changed at the next login; 0 for never."""

    session_hours: int | None
    """Hours a login lasts; null for what the operator configured."""

    key_max_days: int
    """Days an API key lives at most."""

    mfa_required: bool
    """Whether logins with a password need a one-time password, too."""

    token_audiences: list[str]
    """Other systems that signed tokens may be issued for; for none if it is empty."""


class SettingsChange(Request):
    """What to change."""

    password_min_length: Annotated[int, Field(ge=passwords.SHORTEST, le=128)] | None = None
    """Characters a password shall have at least. Passwords that exist stay."""

    password_history: Annotated[int, Field(ge=0, le=LONGEST_HISTORY)] | None = None
    """How many former passwords cannot be used again."""

    password_max_days: Annotated[int, Field(ge=0, le=3660)] | None = None
    """Days after which a password must be changed at the next login; 0 for never."""

    session_hours: Annotated[int, Field(ge=1, le=8760)] | None = None
    """Hours a login shall last; null for what the operator configured. Logins that exist stay."""

    key_max_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    """Days an API key shall live at most. Keys that exist stay."""

    mfa_required: bool | None = None
    """Whether logins with a password shall need a one-time password. Who has none can open nothing but its set-up."""

    token_audiences: Annotated[list[Audience], Field(max_length=100)] | None = None
    """Other systems that signed tokens may be issued for. Whoever is logged in may then have one about himself."""


@SETTINGS.get(result=Settings, role=Role.ADMIN)
async def get_settings(ctx: Context, settings: str) -> Settings:
    """Returns what holds for passwords, logins and keys."""
    _check(settings)
    return _settings(await ctx.query(password_policy.load))


@SETTINGS.update(request=SettingsChange, result=Settings, role=Role.ADMIN)
async def update_settings(ctx: Context, settings: str, request: SettingsChange) -> Settings:
    """Changes what holds for passwords, logins and keys, from now on."""
    _check(settings)
    values: dict[str, Any] = {name: getattr(request, name) for name in request.model_fields_set}
    if not values:
        raise InvalidPayload("Nothing to change: send at least one setting.")
    for name, value in values.items():
        if value is None and name not in _NULLABLE:
            raise InvalidPayload(f"{name} needs a value.", errors=[{"pointer": f"/{name}", "detail": "is null"}])

    def work(unit: Unit) -> Settings:
        policy = dataclasses.replace(password_policy.load(unit.connection), **values)
        password_policy.save(unit.connection, policy, unit.principal.name)
        unit.ctx.note(**values)
        return _settings(policy)

    return await ctx.write(work)


def _check(id: str) -> None:
    if id != PLATFORM:
        raise NotFound(f"There are no settings {id!r}. The only ones are {PLATFORM!r}.")


def _settings(policy: Policy) -> Settings:
    return Settings(**dataclasses.asdict(policy))
