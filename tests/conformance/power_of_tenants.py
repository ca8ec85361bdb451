"""Cases of operations that pass on power in an organization: providers, invitations, webhooks, definitions."""

from __future__ import annotations

from typing import Any

from tests.api.admin.tenants import grant, made
from tests.conformance.power_world import Call, Gift, World, case
from tests.orchestration import FakeOrchestrator, node


def new_provider(world: World, **spec: Any) -> dict[str, Any]:
    known = {"title": "Login", "issuer": "https://login.example.org", "client_id": "headwater"}
    return {"name": world.name(), "organization_id": world.organization, "spec": known | spec}


@case("admin_create_identity_provider")
async def create_provider(world: World, gift: Gift) -> Call:
    group = await world.group(gift, source="CLAIM")
    return "POST", "admin/identity-providers", new_provider(world, groups={"staff": group})


async def _linked(world: World, gift: Gift) -> str:
    provider = str((await world.post("admin/identity-providers", new_provider(world)))["id"])
    id = await world.user(gift)
    spec = {"identity_provider_id": provider, "external_id": "subject"}
    await made(world.api.admin("PATCH", f"admin/users/{id}", json={"spec": spec}))
    return provider


@case("admin_update_identity_provider")
async def update_provider(world: World, gift: Gift) -> Call:
    path = f"admin/identity-providers/{await _linked(world, gift)}"
    return "PATCH", path, {"spec": {"client_id": "mine"}}


@case("admin_batch_identity_providers")
async def batch_providers(world: World, gift: Gift) -> Call:
    item = {"method": "UPDATE", "id": await _linked(world, gift), "body": {"spec": {"audience": ["mine"]}}}
    return "POST", "admin/identity-providers:batch", {"items": [item]}


@case("admin_restore_identity_provider")
async def restore_provider(world: World, gift: Gift) -> Call:
    provider = await _linked(world, gift)
    await world.delete(f"admin/identity-providers/{provider}")
    return "POST", f"admin/identity-providers/{provider}:restore", {}


def _invitation(world: World, gift: Gift) -> dict[str, Any]:
    promised = [{"role_id": gift.role, "securable_id": gift.on}]
    return {"email": "new@example.org", "organization_id": world.organization, "grants": promised}


@case("admin_create_invitation")
async def invite(world: World, gift: Gift) -> Call:
    return "POST", "admin/invitations", _invitation(world, gift)


@case("admin_resend_invitation")
async def resend(world: World, gift: Gift) -> Call:
    made_before = await world.post("admin/invitations", _invitation(world, gift))
    return "POST", f"admin/invitations/{made_before['id']}:resend", {}


async def _organization(world: World, gift: Gift) -> tuple[str, str]:
    body = {"name": world.name(), "spec": {"title": "Other"}}
    id = str((await world.post("admin/organizations", body))["id"])
    return id, await world.user(gift, organization=id)


@case("admin_resume_organization", platform=True)
async def resume(world: World, gift: Gift) -> Call:
    id, _ = await _organization(world, gift)
    await world.post(f"admin/organizations/{id}:suspend", {})
    return "POST", f"admin/organizations/{id}:resume", {}


@case("admin_restore_organization", platform=True)
async def restore_organization(world: World, gift: Gift) -> Call:
    id, member = await _organization(world, gift)
    await world.delete(f"admin/users/{member}")
    await world.delete(f"admin/organizations/{id}")
    return "POST", f"admin/organizations/{id}:restore", {}


@case("admin_update_settings", platform=True)
async def loosen(world: World, gift: Gift) -> Call:
    strict = {"password_history": 3}
    await made(world.api.admin("PATCH", "admin/settings/platform", json=strict))
    return "PATCH", "admin/settings/platform", {"password_history": 0}


_EVENTS = {"part": "admin.webhook_endpoint.*", "denied": "admin.audit_event.get", "higher": False}


def new_hook(world: World) -> dict[str, Any]:
    spec = {"url": "https://hooks.example.org/a"}
    return {"name": world.name(), "organization_id": world.organization, "spec": spec}


@case("admin_create_webhook_endpoint", **_EVENTS)
async def create_hook(world: World, gift: Gift) -> Call:
    return "POST", "admin/webhook-endpoints", new_hook(world)


async def _made_hook(world: World) -> str:
    return f"admin/webhook-endpoints/{(await world.post('admin/webhook-endpoints', new_hook(world)))['id']}"


@case("admin_update_webhook_endpoint", **_EVENTS)
async def update_hook(world: World, gift: Gift) -> Call:
    return "PATCH", await _made_hook(world), {"spec": {"url": "https://hooks.example.org/b"}}


@case("admin_batch_webhook_endpoints", **_EVENTS)
async def batch_hooks(world: World, gift: Gift) -> Call:
    body = new_hook(world)
    return "POST", "admin/webhook-endpoints:batch", {"items": [{"method": "CREATE", "body": body}]}


@case("admin_restore_webhook_endpoint", **_EVENTS)
async def restore_hook(world: World, gift: Gift) -> Call:
    path = await _made_hook(world)
    await world.delete(path)
    return "POST", f"{path}:restore", {}


@case("admin_enable_webhook_endpoint", **_EVENTS)
async def enable_hook(world: World, gift: Gift) -> Call:
    path = await _made_hook(world)
    await world.post(f"{path}:disable", {})
    return "POST", f"{path}:enable", {}


@case("admin_move_project", platform=True)
async def move(world: World, gift: Gift) -> Call:
    target, _ = await _organization(world, Gift(gift.role, world.organization))
    await grant(world.api, await world.user(), gift.role, target)
    body = {"name": world.name(), "organization_id": world.organization, "spec": {"title": "Moves"}}
    project = (await world.post("admin/projects", body))["id"]
    return "POST", f"admin/projects/{project}:move", {"organization_id": target}


_ROWS = {"part": "ai_catalog.definition.*", "denied": "ai_catalog.asset.preview", "higher": False, "refused": (422,)}
"""Publishing discloses the rows that a definition reads. What cannot be read is reported as what does not exist."""


async def definition(world: World) -> str:
    source, asset = "acme_data.gold.salaries", f"acme_data.gold.{world.name()}"
    orchestrator = world.api.app.platform.orchestrator
    assert isinstance(orchestrator, FakeOrchestrator)
    orchestrator.nodes[source] = node(source)
    attributes = {"asset": asset, "sql": "SELECT 1", "reads": [source]}
    body = {"component": "SqlTransformComponent", "attributes": attributes}
    await world.post("ai-catalog/definitions", body)
    return f"ai-catalog/definitions/{asset}"


@case("ai_catalog_publish_definition", **_ROWS)
async def publish(world: World, gift: Gift) -> Call:
    return "POST", f"{await definition(world)}:publish", {}


@case("ai_catalog_reinstate_definition", **_ROWS)
async def reinstate(world: World, gift: Gift) -> Call:
    path = await definition(world)
    await world.post(f"{path}:publish")
    await world.post(f"{path}:retire")
    return "POST", f"{path}:reinstate", {}


_READS = {"denied": "ai_catalog.asset.preview", "higher": False}
"""What gives the right to read a table, or its copies."""


def salaries(world: World) -> str:
    """A table of the organization."""
    asset = "acme_data.gold.salaries"
    orchestrator = world.api.app.platform.orchestrator
    assert isinstance(orchestrator, FakeOrchestrator)
    orchestrator.nodes[asset] = node(asset)
    return asset


@case("ai_catalog_create_release", part="ai_catalog.release.*", **_READS)
async def release(world: World, gift: Gift) -> Call:
    """Readers of a copy read what the caller can read."""
    return "POST", "ai-catalog/releases", {"asset": salaries(world), "copies": "acme_data", "reason": "x"}


async def access_request(world: World) -> str:
    """The path of a request by a user who sees the table."""
    body = {"asset": salaries(world), "purpose": "x"}
    _, caller = await world.caller(("ai_catalog.asset.get", world.acme.project, "ALLOW"))
    return f"ai-catalog/access-requests/{(await made(caller.post('ai-catalog/access-requests', body)))['id']}"


@case("ai_catalog_approve_access_request", part="ai_catalog.access_request.*", **_READS)
async def approve(world: World, gift: Gift) -> Call:
    return "POST", f"{await access_request(world)}:approve", {}


_LIFTING = {"part": "ai_catalog.policy.*", "denied": "ai_catalog.asset.preview", "higher": False}
"""Lifting a policy gives its readers the rows of the organization."""


async def new_policy(world: World) -> dict[str, Any]:
    """A policy on a user, so that it restricts no caller."""
    masks = [{"column": "salary", "method": "NULL"}]
    spec = {"title": "Salaries", "assets": ["acme_data.*.*"], "masks": masks, "to": [await world.user()]}
    return {"name": world.name(), "organization_id": world.organization, "spec": spec}


async def _active_policy(world: World) -> str:
    id = (await world.post("ai-catalog/policies", await new_policy(world)))["id"]
    await world.post(f"ai-catalog/policies/{id}:activate", {})
    return str(id)


@case("ai_catalog_update_policy", **_LIFTING)
async def update_policy(world: World, gift: Gift) -> Call:
    return "PATCH", f"ai-catalog/policies/{await _active_policy(world)}", {"spec": {"assets": ["acme_data.gold.*"]}}


@case("ai_catalog_disable_policy", **_LIFTING)
async def disable_policy(world: World, gift: Gift) -> Call:
    return "POST", f"ai-catalog/policies/{await _active_policy(world)}:disable", {}


@case("ai_catalog_batch_policies", **_LIFTING)
async def batch_policies(world: World, gift: Gift) -> Call:
    change = {"method": "UPDATE", "id": await _active_policy(world), "body": {"spec": {"assets": ["acme_data.gold.*"]}}}
    return "POST", "ai-catalog/policies:batch", {"items": [change]}
