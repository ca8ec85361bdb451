"""Shares: a recipient gets exactly what is shared now, and no file besides."""

from __future__ import annotations

import io
import shutil
from typing import Any

import pyarrow.parquet as pq
import pytest

from api.protocols.delta_sharing.callers import Callers, Link
from api.protocols.delta_sharing.files import SharedFiles
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.sharing import DAILY, Client, Provider, provider, rows, tables_of
from tests.api.both_databases import on_both
from tests.api_process import Api

HISTORY = {"asset": DAILY, "history_from": 1}


async def ids_in(client: Client, files: list[dict[str, Any]]) -> list[int]:
    """The ids in files that the client downloads."""
    found: list[int] = []
    for file in files:
        response = await client.download(file["url"])
        assert response.status_code == 200, response.text
        found += pq.read_table(io.BytesIO(response.content))["id"].to_pylist()
    return sorted(found)


async def opened(api: Api, *objects: dict[str, Any]) -> tuple[Provider, Client]:
    home = await provider(api)
    await home.share("partners", *(objects or (HISTORY,)))
    return home, await home.client("acme", "partners")


@pytest.mark.effect("ai_catalog_add_object_share", "ai_catalog_grant_share")
async def test_a_recipient_reads_what_is_shared(api: Api) -> None:
    home, client = await opened(api, HISTORY, {"asset": DAILY, "table_name": "pinned", "version": "1"})
    listed = (await client.get("/shares/partners/all-tables")).response.json()["items"]
    assert [one["name"] for one in listed] == ["daily", "pinned"]
    newest, first = await client.query(), await client.query("gold/tables/pinned")
    assert (newest.version, first.version) == (2, 1)
    assert await ids_in(client, newest.files) == [1, 2, 3]
    assert await ids_in(client, first.files) == [1, 2]
    assert await ids_in(client, (await client.query(version=1)).files) == [1, 2]
    assert DAILY not in newest.response.text
    refused = await client.query("gold/tables/pinned", version=2)
    assert (refused.status, "only" in refused.response.text) == (400, True)
    assert (await client.query(version=0)).status == 400
    assert [one["problem"] for one in await home.objects("partners")] == [None, None]


@on_both
@pytest.mark.effect("ai_catalog_remove_object_share", "ai_catalog_revoke_share")
async def test_what_is_taken_away_ends_with_its_links(api: Api) -> None:
    home, client = await opened(api, HISTORY, {"asset": DAILY, "table_name": "second"})
    link = (await client.query("gold/tables/second")).files[0]["url"]
    other = (await client.query()).files[0]["url"]
    second = (await home.objects("partners"))[1]["id"]
    await made(home.on_share("partners", "remove-object", {"object": second}))
    assert (await client.query("gold/tables/second")).status == 404
    assert (await client.download(link)).status_code == 404
    assert (await client.download(other)).status_code == 200
    await made(home.on_share("partners", "revoke", {"recipient_id": home.ids["acme"]}))
    assert (await client.get("/shares")).response.json()["items"] == []
    assert (await client.download(other)).status_code == 404
    assert (await home.on_share("partners", "revoke", {"recipient_id": home.ids["acme"]})).status == 200


async def test_a_deleted_share_is_not_served(api: Api) -> None:
    home, client = await opened(api, {"asset": DAILY, "version": "1"})
    link = (await client.query()).files[0]["url"]
    path = f"ai-catalog/shares/{home.ids['partners']}"
    assert (await api.admin("DELETE", path)).status == 204
    assert tables_of(api).pins.pins(DAILY) == []
    assert (await client.query()).status == 404
    assert (await client.download(link)).status_code == 404
    await made(api.admin.post(f"{path}:restore", {}))
    assert (await client.download(link)).status_code == 200
    assert tables_of(api).pins.versions(DAILY) == [1]
    project = (await api.admin.get("admin/projects/flights")).json["id"]
    assert (await api.admin("DELETE", f"admin/projects/{project}")).status == 409, "a share is in it"


@pytest.mark.effect("ai_catalog_update_object_share")
async def test_partitions_limit_the_files(api: Api) -> None:
    home, client = await opened(api, HISTORY)
    everything = (await client.query()).files
    (shared,) = await home.objects("partners")
    change = {"object": shared["id"], "partition_filter": "carrier = 'AA'", "history_from": 1}
    await made(home.on_share("partners", "update-object", change))
    files = (await client.query()).files
    assert [file["partitionValues"] for file in files] == [{"carrier": "AA"}]
    statuses = {(await client.download(file["url"])).status_code for file in everything}
    assert statuses == {200, 404}, "links to other partitions have ended"
    changes = (await client.get("/shares/partners/schemas/gold/tables/daily/changes?startingVersion=1")).lines
    assert [line["add"]["partitionValues"] for line in changes[2:]] == [{"carrier": "AA"}]
    for wrong in ("id = 1", "carrier", "1 = 1", "carrier = (SELECT 1)", "nothing = 1", "day = 1", "x" * 2001):
        reply = await home.on_share("partners", "update-object", {**change, "partition_filter": wrong})
        assert reply.status in (400, 422), wrong
    reply = await home.on_share("partners", "update-object", {**change, "partition_filter": "id = 1"})
    assert "partitioned by (carrier)" in reply.json["detail"]


@on_both
async def test_a_link_opens_one_file_only(api: Api) -> None:
    home, client = await opened(api, {"asset": DAILY, "version": "1"})
    (shared,) = await home.objects("partners")
    first = (await client.query()).files
    platform = api.app.platform
    callers, files = Callers(platform), SharedFiles(platform)
    newest = tables_of(api).snapshot(DAILY)
    old = set(tables_of(api).snapshot(DAILY, version=1).paths)
    (later,) = set(newest.paths) - old
    token = (await api.admin.get(f"ai-catalog/recipients/{home.ids['acme']}/tokens")).json["items"][0]["id"]
    paths = [later, "../daily/x", "_delta_log/00000000000000000000.json", "/etc/passwd", "carrier=AA", "a%2F..%2Fb"]
    cases = [(1, path) for path in paths] + [(2, later), (2**53, later), (-1, later), (0, next(iter(old)))]
    for version, path in cases:
        link = Link(token, home.ids["partners"], shared["id"], version, False, path, 2**40)
        assert (await client.download(callers.url("http://headwater.test", link))).status_code == 404, (version, path)
    assert files is not platform.part(SharedFiles)
    url = first[0]["url"]
    for altered in (url[:-3] + "AAA", url.partition("?")[0], url.replace("sp=", "sp=v1."), url + "x"):
        assert (await client.download(altered)).status_code == 401
    expired = Link(token, home.ids["partners"], shared["id"], 1, False, next(iter(old)), 1)
    assert (await client.download(callers.url("http://headwater.test", expired))).status_code == 401
    assert (await client.download(url, "POST")).status_code == 405


async def test_files_are_served_in_ranges(api: Api) -> None:
    _, client = await opened(api)
    url = (await client.query()).files[0]["url"]
    whole = (await client.download(url)).content
    size = len(whole)
    head = await client.download(url, "HEAD")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
    assert head.headers["accept-ranges"] == "bytes"
    for text, start, end in (("0-3", 0, 4), (f"{size - 4}-", size - 4, size), ("-8", size - 8, size)):
        part = await client.download(url, headers={"range": f"bytes={text}"})
        assert (part.status_code, part.content) == (206, whole[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert (await client.download(url, headers={"range": f"bytes={size}-"})).status_code == 416
    for odd in ("bytes=5-2", "bytes=-0"):
        assert (await client.download(url, headers={"range": odd})).status_code == 416
    for ignored in ("bytes=-", "rows=1-2", "bytes=0-1,3-4"):
        assert (await client.download(url, headers={"range": ignored})).content == whole


async def test_a_share_ends_with_the_right_of_who_shared_it(api: Api) -> None:
    home, client = await opened(api)
    ada = await user(api, "ada")
    right = await grant(api, ada, "rol_admin", "flights")
    (shared,) = await home.objects("partners")
    change = {"object": shared["id"]}
    await made(home.on_share("partners", "update-object", change, by=api.caller("ada")))
    link = (await client.query()).files[0]["url"]
    denied = await grant(api, ada, "ai_catalog.asset.preview", DAILY, effect="DENY")
    assert (await client.query()).status == 404
    assert (await client.download(link)).status_code == 404
    (shared,) = await home.objects("partners")
    assert "can no longer read" in shared["problem"]
    assert (await api.admin("DELETE", f"admin/grants/{denied}")).status == 204
    assert (await client.query()).status == 200
    assert (await api.admin("DELETE", f"admin/grants/{right}")).status == 204
    assert (await client.query()).status == 404
    await made(home.on_share("partners", "update-object", change))
    assert (await client.query()).status == 200


@on_both
async def test_a_table_that_is_created_again_is_not_shared(api: Api) -> None:
    home, client = await opened(api)
    link = (await client.query()).files[0]["url"]
    tables = tables_of(api)
    shutil.rmtree(tables.uri(DAILY))
    tables.adopt(DAILY)
    assert (await client.query()).status == 404
    tables.create(DAILY, rows().schema, partition_by=["carrier"])
    tables.append(DAILY, rows((9, "AA")))
    assert (await client.query()).status == 404
    assert (await client.download(link)).status_code == 404
    (shared,) = await home.objects("partners")
    await made(home.on_share("partners", "update-object", {"object": shared["id"]}))
    assert await ids_in(client, (await client.query()).files) == [9]


@on_both
async def test_a_vacuum_keeps_the_shared_version(api: Api) -> None:
    home, client = await opened(api, {"asset": DAILY, "version": "1"})
    tables = tables_of(api)
    tables.overwrite(DAILY, rows((7, "CC")))
    tables.vacuum(DAILY, retention_hours=0)
    assert await ids_in(client, (await client.query()).files) == [1, 2]
    (shared,) = await home.objects("partners")
    await made(home.on_share("partners", "remove-object", {"object": shared["id"]}))
    assert tables.pins.pins(DAILY) == []
    assert tables.vacuum(DAILY, retention_hours=0)


async def test_a_recipient_has_no_share_of_another(api: Api) -> None:
    home, client = await opened(api)
    await home.share("secret", {"asset": DAILY})
    rival = await home.client("globex", "secret")
    missing = await client.get("/shares/nothing")
    for path in ("/shares/secret", "/shares/secret/all-tables", "/shares/secret/schemas/gold/tables/daily/metadata"):
        foreign = await client.get(path)
        assert (foreign.status, foreign.response.json()["detail"]) == (404, missing.response.json()["detail"])
    assert [one["name"] for one in (await rival.get("/shares")).response.json()["items"]] == ["secret"]
    for token in (api.admin.token, api.viewer.token, "hws_x", ""):
        headers = {"authorization": f"Bearer {token}"}
        assert (await client.get("/shares", headers=headers)).status == 401
    for path in ("/api/v1/ai-catalog/shares", "/mlflow/version", "/api/v1/ai-catalog/assets"):
        assert (await client.http.get(path, headers=client.headers)).status_code == 401


@on_both
async def test_two_shares_of_a_recipient_have_two_names(api: Api) -> None:
    home, _ = await opened(api)
    other = await made(api.admin.post("admin/projects", {"name": "weather", "spec": {"title": "Weather"}}))
    same = {"name": "partners", "project_id": other["id"], "spec": {"title": "Same"}}
    home.ids["same"] = (await made(api.admin.post("ai-catalog/shares", same)))["id"]
    refused = await home.on_share("same", "grant", {"recipient_id": home.ids["acme"]})
    assert refused.status == 409
    home.ids["third"] = (await made(api.admin.post("ai-catalog/shares", {**same, "name": "third"})))["id"]
    await made(home.on_share("third", "grant", {"recipient_id": home.ids["acme"]}))
    renamed = await api.admin("PATCH", f"ai-catalog/shares/{home.ids['third']}", json={"name": "partners"})
    assert (renamed.status, "another share" in renamed.json["detail"]) == (409, True)
    foreign = await home.on_share("same", "add-object", {"asset": DAILY})
    assert (foreign.status, "its project" in foreign.json["detail"]) == (422, True)
    one = await tenant(api, "one")
    body = {"name": "theirs", "organization_id": one.organization, "spec": {"title": "Theirs"}}
    theirs = (await made(api.admin.post("ai-catalog/recipients", body)))["id"]
    assert (await home.on_share("partners", "grant", {"recipient_id": theirs})).status == 422
    assert (await home.on_share("partners", "grant", {"recipient_id": home.ids["acme"]})).status == 409


@on_both
async def test_usage_and_audit_log_show_each_query(api: Api) -> None:
    home, client = await opened(api)
    files = (await client.query()).files
    await client.get("/shares/partners/schemas/gold/tables/daily/changes?startingVersion=2")
    for path in (f"shares/{home.ids['partners']}", f"recipients/{home.ids['acme']}"):
        usage = (await api.viewer.get(f"ai-catalog/{path}/usage")).json["items"]
        assert [(one["operation"], one["asset"], one["files"]) for one in usage] == [
            ("changes", DAILY, 1),
            ("query", DAILY, len(files)),
        ]
        assert usage[1]["size_bytes"] == sum(file["size"] for file in files)
    event = api.events("ai_catalog.share.queried")[0]
    assert (event["principal"], event["data"]["asset"], event["data"]["version"]) == ("acme", DAILY, 2)
    recipients = (await api.viewer.get(f"ai-catalog/shares/{home.ids['partners']}/recipients")).json
    assert [one["name"] for one in recipients["items"]] == ["acme"]
    shares = (await api.viewer.get(f"ai-catalog/recipients/{home.ids['acme']}/shares")).json
    assert [one["name"] for one in shares["items"]] == ["partners"]
    viewer = (await api.admin.get("admin/users/viewer")).json["id"]
    await grant(api, viewer, "ai_catalog.asset.get", DAILY, effect="DENY")
    assert (await api.viewer.get(f"ai-catalog/shares/{home.ids['partners']}/usage")).json["items"] == []
    assert (await api.viewer.get(f"ai-catalog/shares/{home.ids['partners']}/objects")).json["items"] == []


async def test_bad_requests_are_refused(api: Api) -> None:
    _, client = await opened(api)
    table = "/shares/partners/schemas/gold/tables/daily"
    gets = [
        *("/shares?maxResults=-1", "/shares?maxResults=x", f"/shares?maxResults={'9' * 30}", "/shares?pageToken=%21"),
        *(f"{table}/changes", f"{table}/changes?startingVersion={2**63}", f"{table}/changes?startingVersion=-1"),
        *(f"{table}/changes?startingVersion=2&endingVersion=1", f"{table}/changes?startingVersion=0"),
        *(f"{table}/version?startingTimestamp=yesterday", f"{table}/metadata?version={2**63}"),
    ]
    for path in gets:
        assert (await client.get(path)).status == 400, path
    for path in (
        f"{table}/version?startingTimestamp=9999-01-01T00:00:00Z",
        f"{table}/nothing",
        "/nothing",
        "/shares/a/b/c",
    ):
        assert (await client.get(path)).status == 404, path
    bodies: list[dict[str, Any]] = [
        {"version": 2**63},
        {"version": "1"},
        {"timestamp": "x"},
        {"limitHint": -1},
        {"predicateHints": "x"},
        {"version": float("1e300")},
    ]
    for body in bodies:
        assert (await client.query(**body)).status == 400, body
    assert (await client.query(timestamp="2001-01-01T00:00:00Z")).status == 404
    assert (await client.query(version=99)).status == 404
    for content in (b"[]", b"{", b"\xff", b'{"a":' * 5000):
        assert (await client("POST", f"{table}/query", content=content)).status == 400
    assert (await client("POST", "/shares")).status == 405
    assert (await client("PUT", f"{table}/query")).status == 405
    hints = {"predicateHints": ["carrier = 'AA'", "id = 1", "DROP TABLE x"], "limitHint": 10**15}
    assert len((await client.query(**hints)).files) == 1
    document = (
        '{"op":"and","children":[{"op":"equal","children":[{"op":"column","name":"carrier","valueType":"string"},'
    )
    document += '{"op":"literal","value":"BB","valueType":"string"}]},{"op":"equal","children":[]}]}'
    assert len((await client.query(jsonPredicateHints=document)).files) == 2
    assert len((await client.query(jsonPredicateHints="[" * 5000)).files) == 3
    assert len((await client.query(limitHint=1)).files) == 1
    first = (await client.get("/shares/partners/all-tables?maxResults=0")).response.json()
    assert first == {"items": []}


async def test_pages_follow_each_other(api: Api) -> None:
    home, client = await opened(api, *({"asset": DAILY, "table_name": f"t{number}"} for number in range(5)))
    found: list[str] = []
    token = ""
    while True:
        page = (await client.get(f"/shares/partners/all-tables?maxResults=2&pageToken={token}")).response.json()
        found += [one["name"] for one in page["items"]]
        if not (token := page.get("nextPageToken", "")):
            break
    assert found == [f"t{number}" for number in range(5)]
    assert len(await home.objects("partners")) == 5


async def test_the_version_and_the_end_of_a_response_are_shown(api: Api) -> None:
    _, client = await opened(api)
    table = "/shares/partners/schemas/gold/tables/daily"
    for method, path in (("HEAD", table), ("GET", f"{table}/version"), ("HEAD", f"{table}/version")):
        assert (await client(method, path)).version == 2
    headers = {"delta-sharing-capabilities": "responseformat=parquet;includeEndStreamAction=true"}
    answer = await client("POST", f"{table}/query", json={}, headers=headers)
    assert list(answer.lines[-1]) == ["endStreamAction"]
    assert answer.response.headers["delta-sharing-capabilities"] == "responseformat=parquet;includeendstreamaction=true"
    delta = await client.get(f"{table}/metadata", headers={"delta-sharing-capabilities": "responseformat=delta"})
    assert delta.lines[0] == {"protocol": {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 2}}}
    assert delta.lines[1]["metaData"]["deltaMetadata"]["partitionColumns"] == ["carrier"]


async def test_a_query_since_a_version_returns_what_was_added_and_removed(api: Api) -> None:
    _, client = await opened(api)
    tables_of(api).delete(DAILY, "id = 3")
    lines = (await client.query(startingVersion=2)).lines[2:]
    kinds = [(kind, line[kind]["version"]) for line in lines for kind in line]
    assert kinds == [("add", 2), ("remove", 3)]
    links = [line[kind]["url"] for line in lines for kind in line]
    assert [(await client.download(link)).status_code for link in links] == [200, 200]
    newest = (await client.get("/shares/partners/schemas/gold/tables/daily/changes?startingVersion=3")).lines
    assert [next(iter(line)) for line in newest[2:]] in (["cdf"], ["remove"])


async def test_pages_of_files_show_one_version(api: Api) -> None:
    home, client = await opened(api, {"asset": DAILY})
    await home.share("others", {"asset": DAILY})
    other = await home.client("globex", "others")
    found, body = [], {"maxFiles": 1}
    for number in range(3):
        page = await client.query(**body)
        assert [next(iter(line)) for line in page.lines] == ["protocol", "metaData", "file", "endStreamAction"]
        found += await ids_in(client, page.files)
        token = page.lines[-1]["endStreamAction"].get("nextPageToken")
        body = {"maxFiles": 1, "pageToken": token}
        if number == 0:  # the table is shared without history, and its pages continue nevertheless
            tables_of(api).append(DAILY, rows((4, "CC")))
            assert (await other.query("gold/tables/daily", "others", pageToken=token)).status == 400
            assert (await client.query(pageToken=token[:-4] + "AAAA")).status == 400
    assert (sorted(found), token, page.version) == ([1, 2, 3], None, 2)
    assert len((await client.query(maxFiles=10)).files) == 4
    limited = await client.query(maxFiles=1, limitHint=1)
    assert "nextPageToken" not in limited.lines[-1]["endStreamAction"]


async def test_a_page_ends_with_what_is_shared(api: Api) -> None:
    home, client = await opened(api, {"asset": DAILY})
    token = (await client.query(maxFiles=1)).lines[-1]["endStreamAction"]["nextPageToken"]
    [shared] = await home.objects("partners")
    await made(
        home.on_share("partners", "update-object", {"object": shared["id"], "partition_filter": "carrier = 'AA'"})
    )
    assert await ids_in(client, (await client.query(pageToken=token)).files) in ([], [1])
    await made(home.on_share("partners", "update-object", {"object": shared["id"], "history_from": 2}))
    tables_of(api).append(DAILY, rows((4, "CC")))
    await made(home.on_share("partners", "update-object", {"object": shared["id"], "history_from": 3}))
    assert (await client.query(pageToken=token)).status == 400


async def test_a_query_is_read_later(api: Api) -> None:
    _, client = await opened(api, {"asset": DAILY})
    headers = {"delta-sharing-capabilities": "responseformat=parquet;asyncquery=true"}
    table = "/shares/partners/schemas/gold/tables/daily"
    body = {"predicateHints": ["carrier = 'BB'"]}
    [status] = (await client("POST", f"{table}/query", json=body, headers=headers)).lines
    tables_of(api).append(DAILY, rows((4, "BB")))
    answer = await client("POST", f"{table}/queries/{status['queryStatus']['queryId']}", json={"maxFiles": 1})
    assert len(answer.files) == 1
    token = answer.lines[-1]["endStreamAction"]["nextPageToken"]
    rest = await client("POST", f"{table}/queries/{status['queryStatus']['queryId']}", json={"pageToken": token})
    assert await ids_in(client, [*answer.files, *rest.files]) == [2, 3]
    assert (await client("POST", f"{table}/queries/x", json={})).status == 400
    assert (await client("GET", f"{table}/queries/x")).status == 405
    assert (await client("POST", f"{table}/queries", json={})).status == 404
    wide = {"predicateHints": ["carrier = 'BB' OR carrier = '" + "x" * 3000 + "'"]}
    assert len((await client("POST", f"{table}/query", json=wide, headers=headers)).files) == 3, (
        "its id would be too long"
    )


async def test_no_credentials_of_the_store_are_given_away(api: Api) -> None:
    _, client = await opened(api)
    refused = await client("POST", "/shares/partners/schemas/gold/tables/daily/temporary-table-credentials", json={})
    assert (refused.status, refused.response.json()["errorCode"]) == (400, "INVALID_ARGUMENT")
    unknown = await client("POST", "/shares/partners/schemas/gold/tables/none/temporary-table-credentials", json={})
    assert unknown.status == 404
