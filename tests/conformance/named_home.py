"""Two tenants with things of every kind that have the same names, and the requests that refer to them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from api.kernel.kinds import slots
from api.kernel.kinds.resource import Level
from api.kernel.kinds.resource_kind import ResourceKind
from tests.api.admin.tenants import Tenant, grant, made, tenant
from tests.api_process import Api, Caller
from tests.conformance.examples import DRAFTS, ROWS, name_of
from tests.conformance.operations import ENDPOINTS, STORED, add_rows, collection

REFERRING = [one for one in ENDPOINTS if one.request is not None and slots.referring(one.request)]
"""Operations that take references."""


@dataclass
class Home:
    """A tenant with a thing of every kind, and another one with things of the same names and of others."""

    api: Api
    own: Tenant
    ids: dict[str, str] = field(default_factory=dict)

    def filled(self, body: Any, *, by_name: bool) -> Any:
        """The body with ids or names of the tenant's things."""
        text = json.dumps(body)
        for kind, id in self.ids.items():
            text = text.replace(f"[{kind}]", name_of(kind) if by_name and kind not in ROWS else id)
        return json.loads(text)


async def resource_named(admin: Caller, kind: ResourceKind[Any], name: str, place: dict[str, str], **spec: Any) -> str:
    body = {"name": name, "spec": DRAFTS[kind.full_name][0] | spec, **place}
    return str((await made(admin.post(collection(kind), body)))["id"])


async def settled(api: Api) -> Home:
    """Makes both tenants."""
    own, other = await tenant(api, "one"), await tenant(api, "other")
    found = Home(api, own)
    found.ids |= {"admin.organization": own.organization, "admin.project": own.project}
    for kind in STORED:
        if kind.full_name in found.ids:
            continue
        for home in (own, other):
            project = {"project_id": home.project}
            place = project if kind.level is Level.PROJECT else {"organization_id": home.organization}
            name = name_of(kind.full_name)
            name = name.replace("one", "other") if home is other else name
            id = await resource_named(api.admin, kind, name, place)
            if home is own:
                found.ids[kind.full_name] = id
    group = next(kind for kind in STORED if kind.full_name == "admin.group")
    place = {"organization_id": own.organization}
    found.ids["claimed"] = await resource_named(api.admin, group, "claimed", place, source="CLAIM")
    term = next(kind for kind in STORED if kind.full_name == "ai_catalog.glossary_term")
    found.ids["broader"] = await resource_named(api.admin, term, "broader", place)
    await add_rows(api.admin, found.ids)
    for kind in ("user", "group", "service_account"):
        await grant(api, found.ids[f"admin.{kind}"], "rol_viewer", own.project)
    return found
