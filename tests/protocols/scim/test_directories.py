"""What Microsoft Entra and Okta send, and what it does on the platform."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.events import EVENT
from tests.api_server import Server

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
_NUMBERS = itertools.count()


def created(directory: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = directory.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def a_user(directory: httpx.Client, **more: Any) -> dict[str, Any]:
    name = f"Ada.{next(_NUMBERS)}@Acme.example"
    return created(directory, "Users", {"schemas": [USER], "userName": name, "active": True} | more)


def a_group(directory: httpx.Client, *members: dict[str, Any], **more: Any) -> dict[str, Any]:
    name = f"Data Science {next(_NUMBERS)}"
    return created(directory, "Groups", {"displayName": name, "members": [{"value": m["id"]} for m in members]} | more)


def patched(directory: httpx.Client, path: str, *operations: dict[str, Any]) -> dict[str, Any]:
    answer = directory.patch(path, json={"schemas": [PATCH], "Operations": list(operations)})
    assert answer.status_code == 204, answer.text
    return dict(directory.get(path).json())


def members(directory: httpx.Client, group: dict[str, Any]) -> set[str]:
    return {member["value"] for member in directory.get(f"Groups/{group['id']}").json().get("members", ())}


def as_user(server: Server, user: dict[str, Any]) -> httpx.Client:
    """The platform as this user, with a login of his own."""
    token = server.api.caller(user["userName"].lower()).token
    return httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"})


def events(server: Server, subject: str) -> list[tuple[str, str]]:
    with server.api.database.read() as connection:
        rows = connection.execute(sa.select(EVENT).where(EVENT.c.subject == subject).order_by(EVENT.c.sequence))
        return [(row.type, row.data["outcome"]) for row in rows]


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
        body = {"userName": f"same{next(_NUMBERS)}", "active": True, "name": {"givenName": "É", "familyName": "B"}}
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

    def test_a_password_is_never_kept(self, server: Server, directory: httpx.Client, admin: httpx.Client) -> None:
        user = a_user(directory, password="canary-of-scim-7")
        assert "canary" not in directory.get(f"Users/{user['id']}").text
        assert admin.get(f"users/{user['id']}/account").json()["has_password"] is False
        with server.api.database.read() as connection:
            said = str(connection.execute(sa.select(EVENT.c.data).where(EVENT.c.subject == user["id"])).all())
        assert "canary" not in said


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
        body = {"name": f"data{next(_NUMBERS)}", "organization_id": organization["id"], "spec": {"title": "Data"}}
        project = admin.post("projects", json=body).raise_for_status().json()["id"]
        body = {"name": f"robot{next(_NUMBERS)}", "project_id": project, "spec": {}}
        account = admin.post("service-accounts", json=body).raise_for_status().json()["id"]
        admin.post(f"groups/{group['id']}:add-members", json={"members": [account]}).raise_for_status()
        assert members(directory, group) == {user["id"]}
        directory.put(f"Groups/{group['id']}", json={"displayName": "Emptied", "members": []}).raise_for_status()
        left = admin.get(f"groups/{group['id']}/members").json()["items"]
        assert [member["id"] for member in left] == [account]


class TestReading:
    def test_filters_sort_and_pages(self, directory: httpx.Client) -> None:
        titles = ["b", "A", "c"]
        users = [a_user(directory, title=title, externalId=f"ext-{title}-{next(_NUMBERS)}") for title in titles]
        ids = [user["id"] for user in users]

        def found(**query: Any) -> list[str]:
            answer = directory.get("Users", params=query)
            assert answer.status_code == 200, answer.text
            return [one["id"] for one in answer.json()["Resources"]]

        assert found(filter=f'externalId eq "{users[0]["externalId"]}"') == ids[:1]
        assert found(filter=f'USERNAME eq "{users[1]["userName"].upper()}"') == ids[1:2]
        either = " or ".join(f'id eq "{id}"' for id in ids)
        assert found(filter=either, sortBy="title") == [ids[1], ids[0], ids[2]]
        assert found(filter=either, sortBy="title", sortOrder="descending", startIndex=2, count=1) == ids[:1]

    def test_pages_by_index_and_by_cursor_hold_everybody_once(self, directory: httpx.Client) -> None:
        for _ in range(5):
            a_user(directory)
        everybody = [one["id"] for one in directory.get("Users", params={"count": 1000}).json()["Resources"]]
        by_index: list[str] = []
        while len(by_index) < len(everybody):
            page = directory.get("Users", params={"startIndex": len(by_index) + 1, "count": 2}).json()
            assert page["totalResults"] == len(everybody)
            by_index += [one["id"] for one in page["Resources"]]
        assert by_index == everybody
        page = directory.get("Users", params={"cursor": "", "count": 2}).json()
        by_cursor = [one["id"] for one in page["Resources"]]
        while "nextCursor" in page:
            page = directory.get("Users", params={"cursor": page["nextCursor"], "count": 2}).json()
            by_cursor += [one["id"] for one in page["Resources"]]
        assert by_cursor == everybody
        assert directory.get("Users", params={"cursor": "forged", "count": 2}).json()["scimType"] == "invalidCursor"

    def test_attributes_are_chosen(self, directory: httpx.Client) -> None:
        user = a_user(directory)
        group = a_group(directory, user)
        path = f"Groups/{group['id']}"
        assert "members" not in directory.get(path, params={"excludedAttributes": "members"}).json()
        [member] = directory.get(path, params={"attributes": "members.display"}).json()["members"]
        assert member["display"] == user["userName"].lower()

    def test_entity_tags(self, directory: httpx.Client) -> None:
        user = a_user(directory)
        path = f"Users/{user['id']}"
        seen = directory.get(path).headers["etag"]
        assert directory.get(path, headers={"if-none-match": seen}).status_code == 304
        rename = {"userName": user["userName"], "displayName": "New"}
        assert directory.put(path, json=rename, headers={"if-match": seen}).status_code == 200
        assert directory.put(path, json=rename, headers={"if-match": seen}).status_code == 412
        assert directory.delete(path, headers={"if-match": seen}).status_code == 412


class TestBulk:
    def test_each_operation_stands_for_itself(
        self, server: Server, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        taken = a_user(directory)["userName"]
        name = f"bulk{next(_NUMBERS)}"
        operations = [
            {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"userName": name}},
            {"method": "POST", "path": "/Users", "bulkId": "v", "data": {"userName": taken}},
            {
                "method": "POST",
                "path": "/Groups",
                "bulkId": "g",
                "data": {"displayName": name, "members": [{"value": "bulkId:u"}]},
            },
        ]
        answer = directory.post("Bulk", json={"schemas": [BULK], "Operations": operations})
        assert answer.status_code == 200, answer.text
        assert [one["status"] for one in answer.json()["Operations"]] == ["201", "409", "201"]
        user, group = (answer.json()["Operations"][n]["location"].rpartition("/")[2] for n in (0, 2))
        assert members(directory, {"id": group}) == {user}
        assert ("admin.user.created", "succeeded") in events(server, user)
        assert ("admin.group.created", "succeeded") in events(server, group)


class TestRights:
    def test_only_the_description_is_public(self, server: Server) -> None:
        with httpx.Client(base_url=f"{server.url}/scim/v2/") as nobody:
            assert nobody.get("ServiceProviderConfig").json()["bulk"]["supported"] is True
            assert nobody.post("ServiceProviderConfig").status_code == 405
            for path in ("Users", "Groups", "Schemas", "ResourceTypes", "", "Me"):
                assert nobody.get(path).status_code == 401, path

    def test_who_may_not_read_the_directory_gets_no_empty_list(self, server: Server, directory: httpx.Client) -> None:
        user = a_user(directory)
        token = server.api.caller(user["userName"].lower()).token
        with httpx.Client(base_url=f"{server.url}/scim/v2/", headers={"authorization": f"Bearer {token}"}) as low:
            for answer in (
                *(low.get("Users"), low.get(f"Users/{user['id']}"), low.get("Groups"), low.get("")),
                *(low.post("Users", json={"userName": "x"}), low.delete(f"Users/{user['id']}")),
            ):
                assert answer.status_code == 403, answer.text
                assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert ("admin.user.delete_denied", "denied") in events(server, user["id"])

    def test_another_organization_is_not_there(self, server: Server, directory: httpx.Client) -> None:
        headers = {"authorization": f"Bearer {server.tokens['admin']}"}
        with httpx.Client(base_url=f"{server.url}/scim/v2/", headers=headers) as default:
            foreign = created(default, "Users", {"userName": f"foreign{next(_NUMBERS)}"})
            ours = a_user(directory)
            assert default.get(f"Users/{ours['id']}").status_code == 404
            seen = {one["id"] for one in default.get("Users").json()["Resources"]}
            assert foreign["id"] in seen
            assert ours["id"] not in seen
            body = {"displayName": "Ours too", "members": [{"value": ours["id"]}]}
            assert default.post("Groups", json=body).status_code == 400
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            body = {"userName": "x", "schemas": [PATCH], "Operations": [{"op": "remove", "path": "title"}]}
            answer = directory.request(method, f"Users/{foreign['id']}", json=body if method[0] == "P" else None)
            assert answer.status_code == 404, method
        assert directory.get("Users", params={"filter": f'id eq "{foreign["id"]}"'}).json()["totalResults"] == 0


class TestBadInput:
    @pytest.mark.parametrize(
        "body",
        [
            *(b"{", b"[]", b"null", b'{"userName": 1}', b'{"userName": ""}', b"{}", b'{"userName": "a\\u0000b"}'),
            *(b'{"userName": "a\\ud800"}', b"[" * 100_000, b'{"userName": "' + b"a" * 300 + b'"}', b"\xff"),
            *(b'{"userName": "a", "emails": [{"value": "no address"}]}', b'{"userName": "a", "active": "maybe"}'),
            b'{"userName": "a", "name": {"givenName": "' + b"a" * 40_000 + b'"}}',
        ],
        ids=range(14),
    )
    def test_what_is_malformed_is_named(self, directory: httpx.Client, body: bytes) -> None:
        answer = directory.post("Users", content=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["status"] == "400"
        assert answer.json()["detail"]

    @pytest.mark.parametrize(
        "query",
        [
            *("filter=userName", 'filter=nothing eq "x"', 'filter=userName eq "', "sortBy=nothing", "count=x"),
            *("startIndex=x", "filter=" + "(" * 5000),
        ],
        ids=range(7),
    )
    def test_a_question_that_cannot_be_answered(self, directory: httpx.Client, query: str) -> None:
        answer = directory.get(f"Users?{query}")
        assert answer.status_code == 400, answer.text
        assert answer.json()["scimType"]

    def test_odd_values_find_nobody(self, directory: httpx.Client) -> None:
        for value in ("\\u0000", "\\ud800", "%", "' OR 1=1 --"):
            for name in ("userName", "externalId", "id"):
                answer = directory.get("Users", params={"filter": f'{name} eq "{value}"'})
                assert answer.status_code in (200, 400), answer.text
                assert answer.json().get("totalResults", 0) == 0
        assert directory.get("Users/%00").status_code in (400, 404)
        assert directory.get("Users/acme-admin").status_code == 404, "a name is no id"

    def test_no_json_and_too_much_of_it(self, directory: httpx.Client) -> None:
        assert directory.post("Users", content=b"a", headers={"content-type": "text/plain"}).status_code == 415
        assert directory.post("Users", content=b" " * 20_000_000).status_code == 413
