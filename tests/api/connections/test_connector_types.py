"""Connector types: their schemas with the marks of secrets, and the check of a configuration."""

from __future__ import annotations

import pytest

from connectors.registry import CONNECTORS
from tests.api.admin.tenants import grant, made, user
from tests.api_process import Api


async def test_every_type_has_a_schema_that_marks_its_secrets(api: Api) -> None:
    items = (await api.viewer.get("connections/connector-types")).json["items"]
    assert [item["id"] for item in items] == sorted(CONNECTORS)
    for item in items:
        schema = (await api.viewer.get(f"connections/connector-types/{item['id']}/schema")).json["config"]
        marked = [name for name, field in schema["properties"].items() if field.get("x-secret")]
        assert sorted(marked) == sorted(item["secrets"]) != []
        assert [step["name"] for step in item["steps"]] == ["resolve", "connect", "log_in", "read"]
        assert (await api.viewer.get(f"connections/connector-types/{item['id']}")).json == item
    stores = await api.viewer.get("connections/connector-types", params={"filter": 'category == "OBJECT_STORE"'})
    assert [item["id"] for item in stores.json["items"]] == ["s3"]
    overview = (await api.viewer.get("connections/connector-types:capabilities")).json["capabilities"]
    assert overview["ROTATE"] == ["postgresql"]


async def test_a_right_in_one_project_is_enough_to_read_them(api: Api) -> None:
    project = (await made(api.admin.post("admin/projects", {"name": "sales", "spec": {"title": "Sales"}})))["id"]
    await grant(api, await user(api, "guest"), "rol_viewer", project)
    assert len((await api.caller("guest").get("connections/connector-types")).json["items"]) == len(CONNECTORS)
    await user(api, "unassigned")
    assert (await api.caller("unassigned").get("connections/connector-types")).status == 403


@pytest.mark.effect("connections_validate_connector_type")
async def test_a_check_returns_all_faults_of_a_configuration(api: Api) -> None:
    path = "connections/connector-types/s3:validate"
    config = {"bucket": "sales", "access_key_id": "x"}
    valid = await made(api.viewer.post(path, {"config": config, "secrets": ["secret_access_key"]}))
    assert valid == {"valid": True, "faults": []}
    faults = await made(api.viewer.post(path, {"config": {"bucket": "A", "prefix": "/x"}}))
    assert {fault["pointer"] for fault in faults["faults"]} == {
        "/config/bucket",
        "/config/prefix",
        "/config/access_key_id",
        "/secrets/secret_access_key",
    }
    assert (await api.viewer.post("connections/connector-types/none:validate", {})).status == 404
