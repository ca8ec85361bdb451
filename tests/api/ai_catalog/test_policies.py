"""Policies at every door to rows: a restricted caller gets no hidden row and no masked value, or a refusal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.api.admin.tenants import made, tenant
from tests.api.ai_catalog.policies import ONLINE, PEOPLE, POLICIES, SECRETS, Office, opened
from tests.api.ai_catalog.tagging import new_tag, tagged, target
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "mask-columns.md").read_text()
REQUESTS = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", PAGE, re.DOTALL)
ASSET = f"ai-catalog/assets/{PEOPLE}"
ARROW = {"accept": "application/vnd.apache.arrow.stream"}
SQL = [
    f"SELECT * FROM {PEOPLE}",
    f"SELECT id FROM {PEOPLE} WHERE mail LIKE 'secret-mail%'",
    f"SELECT CAST(region AS INTEGER) FROM {PEOPLE}",
    f"SELECT id FROM {PEOPLE} WHERE CASE WHEN id > 100 THEN error(region) END IS NULL",
]


@pytest.fixture
async def office(api: Api) -> Office:
    return await opened(api)


class TestReading:
    @pytest.mark.effect("ai_catalog_activate_policy", "ai_catalog_disable_policy")
    async def test_hides_from_the_next_request_on(self, office: Office) -> None:
        assert next(row["mail"] for row in await office.preview()) == "secret-mail-ada"
        id = await office.policy()
        assert [(row["id"], row["mail"]) for row in await office.preview()] == [(1, None), (2, None), (3, None)]
        assert len(await office.preview(office.api.admin)) == 4, "the policy exempts them"
        await made(office.api.admin.post(f"{POLICIES}/{id}:disable", {}))
        assert len(await office.preview()) == 4

    @pytest.mark.parametrize("sql", SQL)
    @pytest.mark.parametrize("headers", [{}, ARROW])
    async def test_queries(self, office: Office, sql: str, headers: dict[str, str]) -> None:
        await office.policy()
        reply = await office.ada.post("ai-catalog/queries:run", {"sql": sql}, headers=headers)
        assert reply.status in (200, 400)
        assert not [secret for secret in SECRETS if secret in reply.response.content]

    @pytest.mark.parametrize(
        "path", ["preview", "preview?version=0", "preview?columns=mail&columns=id", "diff", "diff?key=id", "profile"]
    )
    @pytest.mark.parametrize("headers", [{}, ARROW])
    async def test_parts_of_the_asset(self, office: Office, path: str, headers: dict[str, str]) -> None:
        await office.policy()
        for _ in range(2):  # the second time from a cache, which the admin filled before
            reply = await office.ada.get(f"{ASSET}/{path}", headers=headers)
            assert reply.status == 200, reply.response.text
            assert not [secret for secret in SECRETS if secret in reply.response.content]
            full = await office.api.admin.get(f"{ASSET}/{path}", headers=headers)
            assert b"secret-mail" in full.response.content

    async def test_counts_are_of_what_is_left(self, office: Office) -> None:
        await office.policy()
        assert (await made(office.ada.get(f"{ASSET}/preview")))["row_count"] == 3
        assert (await made(office.ada.get(f"{ASSET}/profile")))["row_count"] == 3
        diff = await made(office.ada.get(f"{ASSET}/diff"))
        assert (diff["from_row_count"], diff["to_row_count"], diff["added_count"]) == (2, 3, 1)

    async def test_pages(self, office: Office) -> None:
        await office.policy(row_filter="id <> 2")
        ids: list[int] = []
        token = ""
        while token is not None:
            page = await made(office.ada.get(f"{ASSET}/preview", params={"page_size": 1, "page_token": token}))
            ids += [row["id"] for row in page["rows"]]
            token = page["next_page_token"]
        assert sorted(ids) == [1, 3, 4242]

    async def test_versions_that_have_a_dropped_column(self, office: Office) -> None:
        await office.policy(masks=[{"column": "mail", "method": "NULL"}])
        office.tables.overwrite(PEOPLE, pa.table({"id": [1]}), evolve_schema=True)
        reply = await office.ada.get(f"{ASSET}/preview", params={"version": "0"})
        assert reply.status == 200
        assert b"secret-mail" not in reply.response.content
        refused = await office.ada.post("ai-catalog/attestations", {"asset": PEOPLE, "version": "0"})
        assert refused.status == 403

    async def test_masks_and_filters_of_several_policies_add_up(self, office: Office) -> None:
        await office.policy("first", masks=[{"column": "mail", "method": "PARTIAL", "last": 3}])
        assert [row["mail"] for row in await office.preview()] == ["***ada", "***ben", "***dan", "***cay"]
        await office.policy("second", masks=[{"column": "Mail", "method": "PARTIAL", "last": 3}], row_filter="id < 9")
        assert [row["mail"] for row in await office.preview()] == ["***ada", "***ben", "***dan"]
        await office.policy("third", masks=[{"column": "mail", "method": "HASH"}], row_filter="id > 1")
        assert [(row["id"], row["mail"]) for row in await office.preview()] == [(2, None), (3, None)]

    async def test_an_expression_discloses_no_other_masked_column(self, office: Office) -> None:
        await office.policy("mails", masks=[{"column": "mail", "method": "HASH"}])
        mask = {"column": "region", "method": "EXPRESSION", "expression": "concat(region, mail)"}
        await office.policy("regions", masks=[mask])
        assert {row["region"] for row in await office.preview()} == {None}

    async def test_conditions_know_the_reader(self, office: Office) -> None:
        group = {"name": "germans", "spec": {"title": "Germans"}}
        germans = (await made(office.api.admin.post("admin/groups", group)))["id"]
        await office.policy(row_filter=f"principal_id() = '{office.ada_id}' AND id = 1 OR is_member('{germans}')")
        assert [row["id"] for row in await office.preview()] == [1]
        await made(office.api.admin.post(f"admin/groups/{germans}:add-members", {"members": [office.ada_id]}))
        assert len(await office.preview()) == 4

    async def test_tagged_columns(self, office: Office) -> None:
        tag = await new_tag(office.api.admin)
        await office.policy(masks=[{"tag": "pii:email", "method": "NULL"}])
        assert None not in {row["mail"] for row in await office.preview()}
        await tagged(office.api.admin, tag, "assign", target(PEOPLE, "mail"), value="phone")
        assert None not in {row["mail"] for row in await office.preview()}
        await tagged(office.api.admin, tag, "assign", target(PEOPLE, "mail"), value="email")
        assert {row["mail"] for row in await office.preview()} == {None}
        body = {"targets": [target(PEOPLE, "mail")], "value": "email", "reason": "I want to read it"}
        assert (await office.ada.post(f"ai-catalog/tags/{tag}:unassign", body)).status == 403
        refused = await office.ada.post("ai-catalog/attestations", {"asset": PEOPLE})
        assert (refused.status, "A policy restricts" in refused.json["detail"]) == (403, True)
        assert (await made(office.ada.get(f"{ASSET}/policies")))["masked_columns"] == ["mail"]
        await made(office.api.admin.post(f"ai-catalog/tags/{tag}:unassign", body))
        assert None not in {row["mail"] for row in await office.preview()}

    async def test_only_whom_it_names(self, office: Office) -> None:
        await office.policy(to=[office.ada_id], masks=[{"column": "mail", "method": "NULL"}])
        assert {row["mail"] for row in await office.preview()} == {None}
        assert None not in {row["mail"] for row in await office.preview(office.api.viewer)}

    async def test_not_the_tables_of_other_organizations(self, office: Office) -> None:
        other = await tenant(office.api, "other")
        await made(office.api.admin.post(f"admin/users/{other.admin_id}:set-password", {"password": PASSWORD}))
        spec = {"title": "All", "assets": ["*.*.*"], "row_filter": "false", "exempt": [other.admin_id]}
        made_policy = await made(other.admin.post(POLICIES, {"name": "all", "spec": spec}))
        await made(other.admin.post(f"{POLICIES}/{made_policy['id']}:activate", {}))
        assert len(await office.preview()) == 4
        assert (await office.ada.get(f"{POLICIES}/{made_policy['id']}")).status == 404

    async def test_a_filter_without_its_column_leaves_nothing(self, office: Office) -> None:
        await office.policy(row_filter="country = 'DE'")
        reply = await office.ada.get(f"{ASSET}/preview")
        assert (reply.status, "the column country" in reply.json["detail"]) == (403, True)
        assert (await office.ada.post("ai-catalog/queries:run", {"sql": SQL[0]})).status == 403


class TestEffects:
    @on_both
    @pytest.mark.effect("ai_catalog_get_asset_policies")
    async def test_an_asset_says_what_is_hidden(self, office: Office) -> None:
        nothing = await made(office.ada.get(f"{ASSET}/policies"))
        assert (nothing["restricted"], nothing["masked_columns"], nothing["policies"]) == (False, [], [])
        id = await office.policy()
        viewer = await made(office.api.viewer.get(f"{ASSET}/policies"))
        assert (viewer["restricted"], viewer["masked_columns"], viewer["filtered"]) == (True, ["mail"], True)
        assert viewer["policies"] == [], "only admins see policies"
        assert (await made(office.ada.get(f"{ASSET}/policies")))["policies"] == [{"id": id, "name": "mails"}]

    @pytest.mark.effect("ai_catalog_get_policy_coverage")
    async def test_coverage_names_what_meets_nothing(self, office: Office) -> None:
        masks = [{"column": "mail", "method": "NULL"}, {"column": "phone", "method": "NULL"}]
        id = await office.policy(active=False, assets=["flights.*.*", "nothing.*.*"], masks=masks, row_filter="id > 0")
        found = await made(office.ada.get(f"{POLICIES}/{id}/coverage"))
        covered = {item["asset"]: item for item in found["items"]}
        assert covered[PEOPLE] == {"asset": PEOPLE, "masked_columns": ["mail"], "missing_columns": []}
        assert covered[ONLINE]["missing_columns"] == ["id"]
        assert found["ineffective"] == ["/spec/assets/1", "/spec/masks/1"]

    @pytest.mark.effect("ai_catalog_test_policy")
    async def test_a_draft_is_tried_as_somebody(self, office: Office) -> None:
        id = await office.policy(active=False)
        tested = await made(
            office.api.admin.post(f"{POLICIES}/{id}:test", {"asset": PEOPLE, "principal_id": office.ada_id})
        )
        assert (tested["applies"], tested["masked_columns"]) == (True, ["mail"])
        assert (tested["row_count"], tested["left_count"]) == (4, 3)
        own = await made(office.api.admin.post(f"{POLICIES}/{id}:test", {"asset": PEOPLE}))
        assert (own["applies"], own["left_count"]) == (False, 4)
        assert len(await office.preview()) == 4
        body = {"asset": PEOPLE, "principal_id": office.admin_id}
        assert (await office.ada.post(f"{POLICIES}/{id}:test", body)).status == 403


async def test_the_how_to_page(office: Office) -> None:
    ids: dict[str, str] = {}
    replies: dict[str, Any] = {}
    for method, path, body in REQUESTS:
        path = path.replace("{group}", ids.get("groups", "")).replace("{policy}", ids.get("policies", ""))
        headers = {"content-type": "application/json"}
        reply = await office.api.admin(method, path, content=body or None, headers=headers)
        assert reply.status in (200, 201), (path, reply.response.text)
        ids.setdefault(path.rpartition("/")[2], reply.json.get("id", ""))
        replies[path.rpartition("/")[2].rpartition(":")[2]] = reply.json
    assert (replies["test"]["applies"], replies["test"]["left_count"]) == (True, 4)
    assert replies["policies"]["restricted"] is False, "the page exempts its reader"
    assert replies["disable"]["status"]["state"] == "DISABLED"


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({"row_filter": "(SELECT true)"}, "/spec/row_filter"),
        ({"row_filter": "is_member('grp_06e1xq0000exampe0000000000')"}, "/spec/row_filter"),
        ({"masks": [{"column": "mail", "method": "EXPRESSION", "expression": "avg(id)"}]}, "/spec/masks/0/expression"),
        ({"masks": [{"column": "mail", "method": "EXPRESSION"}]}, "/spec/masks/0"),
        ({"row_filter": "true", "to": ["usr_06e1xq0000exampe0000000000"]}, "/spec/to/0"),
        ({"row_filter": "true", "assets": ["flights"]}, "/spec/assets/0"),
        ({"masks": []}, "/spec"),
    ],
)
async def test_what_is_no_policy_is_refused(office: Office, spec: dict[str, Any], pointer: str) -> None:
    values = {"title": "Wrong", "assets": ["flights.*.*"]} | spec
    reply = await office.api.admin.post(POLICIES, {"name": "wrong", "spec": values})
    assert reply.status in (400, 422), reply.response.text
    assert reply.json["errors"][0]["pointer"].startswith(pointer)
