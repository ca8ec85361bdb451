"""Reading, bulk requests, rights and bad input of SCIM."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api_server import Server
from tests.scim import (
    BULK,
    NUMBERS,
    PATCH,
    a_group,
    a_user,
    as_user,
    created,
    events,
    members,
    service_account,
)


class TestReading:
    def test_filters_sort_and_pages(self, directory: httpx.Client) -> None:
        titles = ["b", "A", "c"]
        users = [a_user(directory, title=title, externalId=f"ext-{title}-{next(NUMBERS)}") for title in titles]
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
        name = f"bulk{next(NUMBERS)}"
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
            foreign = created(default, "Users", {"userName": f"foreign{next(NUMBERS)}"})
            own_rows = a_user(directory)
            assert default.get(f"Users/{own_rows['id']}").status_code == 404
            seen = {one["id"] for one in default.get("Users").json()["Resources"]}
            assert foreign["id"] in seen
            assert own_rows["id"] not in seen
            body = {"displayName": "Ours too", "members": [{"value": own_rows["id"]}]}
            assert default.post("Groups", json=body).status_code == 400
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            body = {"userName": "x", "schemas": [PATCH], "Operations": [{"op": "remove", "path": "title"}]}
            answer = directory.request(method, f"Users/{foreign['id']}", json=body if method[0] == "P" else None)
            assert answer.status_code == 404, method
        assert directory.get("Users", params={"filter": f'id eq "{foreign["id"]}"'}).json()["totalResults"] == 0


class TestMe:
    def test_a_user_reads_and_changes_himself_if_he_may(self, server: Server, directory: httpx.Client) -> None:
        user = a_user(directory)
        with as_user(server, user) as his:
            refused = his.get("/scim/v2/Me")
            assert (refused.status_code, refused.json()["schemas"][0][-5:]) == (403, "Error")
            _grant(server, user["id"], "admin.user.get", user["id"])
            found = his.get("/scim/v2/Me")
            assert found.json() == directory.get(f"Users/{user['id']}").json()
            assert found.headers["location"] == f"{server.url}/scim/v2/Users/{user['id']}"
            assert his.get(f"/scim/v2/Users/{user['id']}").status_code == 403, "a user may not read the directory"
            change = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "nickName", "value": "Countess"}]}
            assert his.patch("/scim/v2/Me", json=change).status_code == 403
            assert ("admin.user.update_denied", "denied") in events(server, user["id"])
            _grant(server, user["id"], "admin.user.update", user["id"])
            assert his.patch("/scim/v2/Me", json=change).status_code == 204
        assert directory.get(f"Users/{user['id']}").json()["nickName"] == "Countess"

    def test_others_are_nobody_and_nobody_makes_himself(
        self, server: Server, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        assert directory.get("Me").json()["userName"] == "acme-admin"
        assert directory.post("Me", json={"userName": "new"}).status_code == 501
        with service_account(server, admin, "admin.user.*") as account:
            answer = account.get("Me")
            assert (answer.status_code, "service account" in answer.json()["detail"]) == (404, True)


def _grant(server: Server, principal: str, permission: str, on: str) -> None:
    headers = {"authorization": f"Bearer {server.tokens['acme']}"}
    body = {"principal_id": principal, "permission": permission, "securable_id": on}
    httpx.post(f"{server.url}/api/v1/admin/grants", json=body, headers=headers).raise_for_status()


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
