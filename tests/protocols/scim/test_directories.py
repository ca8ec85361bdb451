"""What Microsoft Entra and Okta send, and what it does on the platform."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api_server import Server
from tests.scim import (
    ENTERPRISE,
    NUMBERS,
    PATCH,
    USER,
    a_group,
    a_user,
    as_user,
    created,
    events,
    members,
    patched,
)


class TestUsers:
    def test_one_that_entra_creates_is_a_user_of_the_organization(
        self, server: Server, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        body = {
            "schemas": [USER, ENTERPRISE],
            "userName": "Grace.Hopper@Acme.example",
            "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
            "active": "True",
            "displayName": "Grace Hopper",
            "emails": [
                {"value": "home@acme.example", "type": "home"},
                {"value": "grace@acme.example", "type": "work", "primary": "True"},
            ],
            "name": {"givenName": "Grace", "familyName": "Hopper"},
            "notKnownHere": {"a": 1},
            ENTERPRISE: {"department": "Compilers", "manager": "usr_nobody"},
        }
        made = created(directory, "Users", body)
        user = admin.get(f"users/{made['id']}").json()
        assert user["name"] == "grace.hopper@acme.example"
        assert user["status"]["state"] == "ACTIVE"
        assert user["spec"] | {"identity_provider_id": None} == {
            "title": "Grace Hopper",
            "emails": ["grace@acme.example", "home@acme.example"],
            "external_id": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
            "identity_provider_id": None,
        }
        assert made["userName"] == "Grace.Hopper@Acme.example"
        assert made[ENTERPRISE]["department"] == "Compilers"
        assert made[ENTERPRISE]["manager"]["value"] == "usr_nobody"
        assert "notKnownHere" not in made
        assert events(server, made["id"]) == [("admin.user.created", "succeeded")]

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "replace", "value": {"active": False}},
            {"op": "Replace", "value": {"active": "False"}},
        ],
        ids=["entra", "okta", "entra without path"],
    )
    def test_switched_off_he_is_out_at_once_and_comes_back(
        self, server: Server, directory: httpx.Client, operation: dict[str, Any]
    ) -> None:
        user = a_user(directory)
        with as_user(server, user) as his:
            assert his.get("/oauth/userinfo").status_code == 200
            assert patched(directory, f"Users/{user['id']}", operation)["active"] is False
            assert his.get("/oauth/userinfo").status_code == 401
            back = {"op": "Replace", "path": "active", "value": "True"}
            assert patched(directory, f"Users/{user['id']}", back)["active"] is True
            assert his.get("/oauth/userinfo").status_code == 200
        assert [type for type, _ in events(server, user["id"])] == [
            *("admin.user.created", "admin.user.updated", "admin.user.suspended"),
            *("admin.user.updated", "admin.user.activated"),
        ]

    def test_one_whom_an_admin_suspends_is_inactive_to_the_directory(
        self, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        user = a_user(directory)
        before = directory.get(f"Users/{user['id']}").headers["etag"]
        admin.post(f"users/{user['id']}:suspend", json={}).raise_for_status()
        after = directory.get(f"Users/{user['id']}")
        assert after.json()["active"] is False
        assert after.headers["etag"] != before

    def test_okta_replaces_him_as_a_whole(self, directory: httpx.Client, admin: httpx.Client) -> None:
        user = a_user(directory, title="Engineer", displayName="Ada")
        body = {"schemas": [USER], "id": user["id"], "userName": "renamed@acme.example", "active": True, "name": {}}
        answer = directory.put(f"Users/{user['id']}", json=body)
        assert answer.status_code == 200, answer.text
        assert "title" not in answer.json()
        found = admin.get(f"users/{user['id']}").json()
        assert (found["name"], found["spec"]["title"]) == ("renamed@acme.example", None)

    def test_what_is_said_again_is_no_new_version(self, directory: httpx.Client, admin: httpx.Client) -> None:
        body = {"userName": f"same{next(NUMBERS)}", "active": True, "name": {"givenName": "É", "familyName": "B"}}
        user = created(directory, "Users", body)
        for _ in range(2):
            directory.put(f"Users/{user['id']}", json=body).raise_for_status()
        assert directory.get(f"Users/{user['id']}").headers["etag"] == user["meta"]["version"]
        assert admin.get(f"users/{user['id']}").json()["version"] == 1

    def test_entra_adds_a_value_that_is_not_there_and_a_manager_by_id(self, directory: httpx.Client) -> None:
        user, boss = a_user(directory), a_user(directory)
        found = patched(
            directory,
            f"Users/{user['id']}",
            {"op": "Add", "path": 'emails[type eq "work"].value', "value": "new@acme.example"},
            {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": boss["id"]},
        )
        assert found["emails"] == [{"value": "new@acme.example", "type": "work"}]
        assert found[ENTERPRISE]["manager"]["value"] == boss["id"]

    def test_a_name_with_any_characters_gets_a_login_of_its_own(
        self, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        latin = created(directory, "Users", {"userName": "1 émile%"})
        cyrillic = created(directory, "Users", {"userName": "1 \u0435mile%"})
        names = {admin.get(f"users/{one['id']}").json()["name"] for one in (latin, cyrillic)}
        assert names == {"u1+20.+e9.mile+25.", "u1+20.+435.mile+25."}
        found = directory.get("Users", params={"filter": 'userName eq "1 ÉMILE%"'}).json()
        assert [one["id"] for one in found["Resources"]] == [latin["id"]]

    def test_a_deleted_one_is_gone_and_his_name_free(self, server: Server, directory: httpx.Client) -> None:
        user = a_user(directory)
        with as_user(server, user) as his:
            assert directory.delete(f"Users/{user['id']}").status_code == 204
            assert his.get("/oauth/userinfo").status_code == 401
        assert directory.get(f"Users/{user['id']}").status_code == 404
        assert created(directory, "Users", {"userName": user["userName"]})["id"] != user["id"]

    def test_the_last_admin_cannot_be_switched_off(self, server: Server) -> None:
        headers = {"authorization": f"Bearer {server.tokens['admin']}"}
        with httpx.Client(base_url=f"{server.url}/scim/v2/", headers=headers) as default:
            [me] = default.get("Users", params={"filter": 'userName eq "admin"'}).json()["Resources"]
            patch = {"schemas": [PATCH], "Operations": [{"op": "Replace", "path": "active", "value": False}]}
            answer = default.patch(f"Users/{me['id']}", json=patch)
            assert answer.status_code == 409, answer.text
            assert default.get(f"Users/{me['id']}").json()["active"] is True

    def test_active_is_shown_unless_the_directory_removes_it(
        self, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        body = {"userName": f"quiet{next(NUMBERS)}", "schemas": [USER]}
        user = created(directory, "Users", body)
        assert user["active"] is True
        path = f"Users/{user['id']}"
        assert patched(directory, path, {"op": "replace", "path": "active", "value": False})["active"] is False
        replaced = directory.put(path, json=body | {"displayName": "Quiet"})
        assert replaced.json()["active"] is False, "left out of a replacement, it says nothing"
        assert admin.get(f"users/{user['id']}").json()["status"]["state"] == "SUSPENDED"
        assert "active" not in patched(directory, path, {"op": "remove", "path": "active"})
        assert (
            directory.get("Users", params={"filter": f'id eq "{user["id"]}" and active pr'}).json()["totalResults"] == 0
        )
        assert admin.get(f"users/{user['id']}").json()["status"]["state"] == "SUSPENDED"
        assert patched(directory, path, {"op": "add", "path": "active", "value": True})["active"] is True
        assert admin.get(f"users/{user['id']}").json()["status"]["state"] == "ACTIVE"

    def test_whom_an_admin_makes_is_shown_with_an_address_that_is_none_of_the_internet(
        self, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        name = f"local{next(NUMBERS)}"
        [organization] = admin.get("organizations").json()["items"]
        body = {"name": name, "organization_id": organization["id"], "spec": {"emails": ["ada@localhost"]}}
        admin.post("users", json=body).raise_for_status()
        [found] = directory.get("Users", params={"filter": 'emails eq "ADA@localhost"'}).json()["Resources"]
        assert (found["userName"], found["active"]) == (name, True)


class TestGroups:
    def test_what_a_group_is_granted_its_members_may(
        self, server: Server, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        user = a_user(directory)
        group = a_group(directory, user)
        [organization] = admin.get("organizations").json()["items"]
        with as_user(server, user) as his:
            assert his.get(f"/api/v1/admin/groups/{group['id']}").status_code == 403
            grant = {"principal_id": group["id"], "role_id": "rol_admin", "securable_id": organization["id"]}
            admin.post("grants", json=grant).raise_for_status()
            found = his.get(f"/api/v1/admin/groups/{group['id']}").json()
            assert found["spec"] | {"title": ""} == {
                "title": "",
                "description": "",
                "external_id": None,
                "source": "SCIM",
            }
            # Entra names who shall go in the value. A strict reader would empty the group.
            other = a_user(directory)
            patched(
                directory,
                f"Groups/{group['id']}",
                {"op": "Add", "path": "members", "value": [{"value": other["id"]}]},
                {"op": "Remove", "path": "members", "value": [{"value": user["id"]}]},
            )
            assert members(directory, group) == {other["id"]}
            assert his.get(f"/api/v1/admin/groups/{group['id']}").status_code == 403
        assert directory.get(f"Users/{other['id']}").json()["groups"][0]["value"] == group["id"]
        assert [type for type, _ in events(server, group["id"])] == [
            *("admin.group.created", "admin.group.members_added"),
            *("admin.group.updated", "admin.group.members_added", "admin.group.members_removed"),
        ]

    def test_okta_renames_with_the_id_in_the_value_and_removes_by_path(
        self, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        one, two = a_user(directory), a_user(directory)
        group = a_group(directory, one, two)
        name = admin.get(f"groups/{group['id']}").json()["name"]
        found = patched(
            directory,
            f"Groups/{group['id']}",
            {"op": "replace", "value": {"id": group["id"], "displayName": "Renamed"}},
            {"op": "remove", "path": f'members[value eq "{one["id"]}"]'},
        )
        assert found["displayName"] == "Renamed"
        assert members(directory, group) == {two["id"]}
        stays = admin.get(f"groups/{group['id']}").json()
        assert (stays["name"], stays["spec"]["title"]) == (name, "Renamed")

    def test_two_of_one_name_and_a_nested_one(self, directory: httpx.Client, admin: httpx.Client) -> None:
        inner, outer = (created(directory, "Groups", {"displayName": "Twin"}) for _ in range(2))
        names = {admin.get(f"groups/{one['id']}").json()["name"] for one in (inner, outer)}
        assert names == {"twin", "twin-2"}
        body = {"displayName": "Twin", "members": [{"value": inner["id"]}]}
        assert directory.put(f"Groups/{outer['id']}", json=body).status_code == 200
        assert members(directory, outer) == {inner["id"]}
        circle = {"displayName": "Twin", "members": [{"value": outer["id"]}]}
        assert directory.put(f"Groups/{inner['id']}", json=circle).status_code == 409
        assert members(directory, inner) == set()

    def test_service_accounts_in_it_stay(self, directory: httpx.Client, admin: httpx.Client) -> None:
        user = a_user(directory)
        group = a_group(directory, user)
        [organization] = admin.get("organizations").json()["items"]
        body = {"name": f"data{next(NUMBERS)}", "organization_id": organization["id"], "spec": {"title": "Data"}}
        project = admin.post("projects", json=body).raise_for_status().json()["id"]
        body = {"name": f"robot{next(NUMBERS)}", "project_id": project, "spec": {}}
        account = admin.post("service-accounts", json=body).raise_for_status().json()["id"]
        admin.post(f"groups/{group['id']}:add-members", json={"members": [account]}).raise_for_status()
        assert members(directory, group) == {user["id"]}
        directory.put(f"Groups/{group['id']}", json={"displayName": "Emptied", "members": []}).raise_for_status()
        left = admin.get(f"groups/{group['id']}/members").json()["items"]
        assert [member["id"] for member in left] == [account]
