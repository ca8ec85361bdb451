"""Cases of the AI catalog that pass on no power."""

from __future__ import annotations

from tests.conformance.power_of_tenants import access_request, definition, new_policy, release, salaries
from tests.conformance.power_world import Call, World
from tests.conformance.powerless_case import case, whole_organization


@case
async def create_definition(world: World) -> Call:
    attributes = {"asset": f"acme_data.gold.{world.name()}", "description": "Made here.", "sql": "SELECT 1 AS one"}
    return "POST", "ai-catalog/definitions", {"component": "SqlTransformComponent", "attributes": attributes}


@case
async def update_definition(world: World) -> Call:
    path = await definition(world)
    attributes = {"asset": path.rpartition("/")[2], "sql": "SELECT 2 AS two", "reads": ["acme_data.gold.salaries"]}
    return "PATCH", path, {"attributes": attributes}


@case
async def retire_definition(world: World) -> Call:
    path = await definition(world)
    await world.post(f"{path}:publish", {})
    return "POST", f"{path}:retire", {}


@case
async def delete_definition(world: World) -> Call:
    return "DELETE", await definition(world), None


@case
async def revoke_release(world: World) -> Call:
    method, path, body = await release(world, whole_organization(world))
    assert method == "POST"
    return "POST", f"{path}/{(await world.post(path, body))['id']}:revoke", {}


@case
async def create_access_request(world: World) -> Call:
    return "POST", "ai-catalog/access-requests", {"asset": salaries(world), "copies": "acme_data", "purpose": "x"}


@case
async def reject_access_request(world: World) -> Call:
    return "POST", f"{await access_request(world)}:reject", {"comment": "No."}


@case
async def cancel_access_request(world: World) -> Call:
    path = "ai-catalog/access-requests"
    body = {"asset": salaries(world), "copies": "acme_data.gold", "purpose": "x"}
    return "POST", f"{path}/{(await world.post(path, body))['id']}:cancel", {}


@case
async def create_policy(world: World) -> Call:
    return "POST", "ai-catalog/policies", await new_policy(world)


async def _made_policy(world: World) -> str:
    return f"ai-catalog/policies/{(await world.post('ai-catalog/policies', await new_policy(world)))['id']}"


@case
async def delete_policy(world: World) -> Call:
    return "DELETE", await _made_policy(world), None


@case
async def restore_policy(world: World) -> Call:
    path = await _made_policy(world)
    await world.delete(path)
    return "POST", f"{path}:restore", {}


@case
async def activate_policy(world: World) -> Call:
    return "POST", f"{await _made_policy(world)}:activate", {}
