"""What the cases of operations that pass on power have in common: a world, the gift, and the callers."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api_process import Api, Caller

Call = tuple[str, str, dict[str, Any] | None]
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Gift:
    """A role on a place: what a target holds, a group carries, or a denial denies."""

    role: str
    on: str


@dataclass
class World:
    """An organization with a target of every strength, and what its platform's admin prepares in it."""

    api: Api
    acme: Tenant

    @classmethod
    async def begin(cls, api: Api) -> World:
        return cls(api, await tenant(api, "acme"))

    @property
    def organization(self) -> str:
        return self.acme.organization

    def name(self) -> str:
        return f"n{next(_NUMBERS)}"

    async def post(self, path: str, body: Any = None) -> dict[str, Any]:
        return await made(self.api.admin.post(path, body))

    async def delete(self, path: str) -> None:
        reply = await self.api.admin("DELETE", path)
        assert reply.status == 204, reply.response.text

    async def user(self, gift: Gift | None = None, *, organization: str = "", **extra: Any) -> str:
        id = await user(self.api, self.name(), organization or self.organization, password=True)
        if gift:
            await grant(self.api, id, gift.role, gift.on, **extra)
        return id

    async def group(self, gift: Gift | None = None, **extra: Any) -> str:
        body = {"name": self.name(), "organization_id": self.organization, "spec": {"title": "A group"} | extra}
        id = str((await self.post("admin/groups", body))["id"])
        if gift:
            await grant(self.api, id, gift.role, gift.on)
        return id

    async def nested(self, gift: Gift) -> str:
        """A group that carries what the group carries that it is in."""
        outer, inner = await self.group(gift), await self.group()
        await self.post(f"admin/groups/{outer}:add-members", {"members": [inner]})
        return inner

    async def account(self, gift: Gift) -> str:
        body = {"name": self.name(), "project_id": self.acme.project, "spec": {}}
        id = str((await self.post("admin/service-accounts", body))["id"])
        await grant(self.api, id, gift.role, gift.on)
        return id

    async def caller(self, *rights: tuple[str, str, str], scopes: tuple[str, ...] = ()) -> tuple[str, Caller]:
        """A user with these rights (what, where, effect), by a login or, with scopes, by a key limited to them."""
        id = await self.user()
        for right, on, effect in rights:
            await grant(self.api, id, right, on, effect=effect)
        name = (await made(self.api.admin.get(f"admin/users/{id}")))["name"]
        if not scopes:
            return id, self.api.caller(name)
        key = {"label": "limited", "principal_id": id, "scopes": list(scopes)}
        return id, Caller(self.api.app, (await self.post("admin/api-keys", key))["secret"])


Prepare = Callable[[World, Gift], Awaitable[Call]]


@dataclass(frozen=True)
class Case:
    """How an operation is called so that it gives a gift away.

    `part` is what a caller holds who may call it and holds nothing that it gives. `denied` is a permission in the
    gift, and `platform` tells that only who has rights on the platform can call it at all.
    """

    prepare: Prepare
    part: str = "admin.*"
    denied: str = "ai_catalog.asset.get"
    platform: bool = False
    higher: bool = True
    """Whether what it gives can be a right on the platform."""

    refused: tuple[int, ...] = (403, 404)
    """What is answered to a caller who would grant what they do not hold."""


CASES: dict[str, Case] = {}


def case(*operations: str, **options: Any) -> Callable[[Prepare], Prepare]:
    def register(prepare: Prepare) -> Prepare:
        for operation in operations:
            CASES[operation] = Case(prepare, **options)
        return prepare

    return register


OWN_ONLY = {"admin_renew_recovery_codes_user"}
"""Operations that no principal can do for another account."""


@dataclass(frozen=True)
class Column:
    """A caller, the gift it tries to give, and whether it may."""

    rights: tuple[tuple[str, str, str], ...]
    gift: Gift
    allowed: bool
    scopes: tuple[str, ...] = field(default=())


def columns(world: World, one: Case) -> dict[str, Column]:
    """Every relation between a caller and what is given."""
    acme, top = world.organization, "platform" if one.platform else world.organization
    admin, part = ("rol_admin", top, "ALLOW"), (one.part, top, "ALLOW")
    most, least = Gift("rol_admin", acme), Gift("rol_viewer", acme)
    denial = (one.denied, acme if one.platform else world.acme.project, "DENY")
    found = {
        "holds only the right to call it": Column((part,), most, allowed=False),
        "holds as much": Column((admin,), most, allowed=True),
        "holds more": Column((admin,), least, allowed=True),
        "calls with a limited key": Column((admin,), least, allowed=False, scopes=(one.part,)),
        "is denied a part of it": Column((admin, denial), least, allowed=False),
    }
    if one.higher and not one.platform:
        found["holds less"] = Column((admin,), Gift("rol_viewer", "platform"), allowed=False)
    return found
