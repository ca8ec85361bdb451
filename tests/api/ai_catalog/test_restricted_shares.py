"""Shares under policies: recipients get files written from the masked rows, and never those of the table."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.protocols.delta_sharing.masking import open_restricted_files
from lakehouse import restricted_files
from tests.api.admin.tenants import made
from tests.api.ai_catalog.policies import PEOPLE, POLICIES, SECRETS, Office, opened
from tests.api.ai_catalog.sharing import DAILY, Client, Provider, make_daily
from tests.api_process import Api

TABLE = "silver/tables/flights"
DELTA = {"delta-sharing-capabilities": "responseformat=delta"}
MASK = {"masks": [{"column": "mail", "method": "PARTIAL", "last": 3}], "row_filter": "region = 'DE'"}


@pytest.fixture
async def office(api: Api) -> Office:
    return await opened(api)


async def shared(office: Office, **content: Any) -> tuple[Provider, Client]:
    provider = Provider(office.api)
    await provider.share("partners", {"asset": PEOPLE, **content})
    return provider, await provider.client("acme", "partners")


async def contents(client: Client, files: list[dict[str, Any]]) -> list[bytes]:
    found = [await client.download(file["url"]) for file in files]
    assert {one.status_code for one in found} == {200}
    return [one.content for one in found]


async def read(client: Client, table: str = TABLE, **body: Any) -> list[dict[str, Any]]:
    """The rows of a query."""
    files = (await client.query(table, **body)).files
    parts = [pq.read_table(io.BytesIO(content)) for content in await contents(client, files)]
    return sorted((row for part in parts for row in part.to_pylist()), key=lambda row: str(row["id"]))


class TestRestrictedShare:
    async def test_has_masked_rows_only_in_each_byte_of_lines_and_files(self, office: Office) -> None:
        _, client = await shared(office, history_from=0)
        assert any(row["mail"] == "secret-mail-cay" for row in await read(client))
        await office.policy(**MASK)
        answer = await client.query(TABLE)
        assert [(row["id"], row["mail"]) for row in await read(client)] == [(1, "***ada"), (2, "***ben"), (3, "***dan")]
        (content,) = await contents(client, answer.files)
        assert not [secret for secret in SECRETS if secret in answer.response.content + content]
        assert json.loads(answer.files[0]["stats"]) == {"numRecords": 3}
        assert answer.files[0]["size"] == len(content)
        footer = pq.read_metadata(io.BytesIO(content)).row_group(0)
        ranges = {footer.column(n).path_in_schema: footer.column(n).statistics for n in range(footer.num_columns)}
        assert (ranges["mail"].min, ranges["mail"].max, ranges["id"].max) == ("***ada", "***dan", 3)

    async def test_has_earlier_versions_masked_and_no_changes(self, office: Office) -> None:
        _, client = await shared(office, history_from=0)
        await office.policy(**MASK)
        assert [row["mail"] for row in await read(client, version=0)] == ["***ada", "***ben"]
        path = f"/shares/partners/schemas/{TABLE}"
        for refused in (
            await client.get(f"{path}/changes?startingVersion=0"),
            await client("POST", f"{path}/query", json={"startingVersion": 0}),
        ):
            assert (refused.status, "can't be shared" in refused.response.json()["message"]) == (400, True)

    async def test_has_the_same_files_in_the_delta_format(self, office: Office) -> None:
        _, client = await shared(office)
        await office.policy(**MASK)
        protocol, metadata, file = (
            await client("POST", f"/shares/partners/schemas/{TABLE}/query", json={}, headers=DELTA)
        ).lines
        assert protocol == {"protocol": {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 2}}}
        described = metadata["metaData"]["deltaMetadata"]
        assert (described["partitionColumns"], described["configuration"]) == ([], {})
        assert {one["nullable"] for one in json.loads(described["schemaString"])["fields"]} == {True}
        add = file["file"]["deltaSingleAction"]["add"]
        assert json.loads(add["stats"]) == {"numRecords": 3}
        table = pq.read_table(io.BytesIO((await client.download(add["path"])).content))
        assert sorted(table["mail"].to_pylist()) == ["***ada", "***ben", "***dan"]

    async def test_is_that_of_its_sharer_if_only_they_are_restricted(self, office: Office) -> None:
        provider, client = await shared(office)
        body = {"asset": PEOPLE, "table_name": "own"}
        await made(provider.on_share("partners", "add-object", body, by=office.ada))
        original = (await client.query(TABLE)).files
        await office.policy(to=[office.ada_id], **MASK)
        assert len(await read(client)) == 4
        own = (await client.query("silver/tables/own")).files
        assert [row["mail"] for row in await read(client, "silver/tables/own")] == ["***ada", "***ben", "***dan"]
        assert not {file["id"] for file in own} & {file["id"] for file in original}

    async def test_can_be_made_by_a_restricted_principal_with_what_they_see(self, office: Office) -> None:
        await office.policy(to=[office.ada_id], **MASK)
        provider = Provider(office.api)
        await provider.share("partners")
        await made(provider.on_share("partners", "add-object", {"asset": PEOPLE}, by=office.ada))
        client = await provider.client("acme", "partners")
        assert [row["mail"] for row in await read(client)] == ["***ada", "***ben", "***dan"]

    async def test_does_not_tell_its_sharer_a_masked_value_by_a_partition_filter(self, office: Office) -> None:
        make_daily(office.api)
        await office.policy(to=[office.ada_id], masks=[{"column": "carrier", "method": "NULL"}])
        provider = Provider(office.api)
        await provider.share("partners")
        body = {"asset": DAILY, "partition_filter": "carrier = 'AA'"}
        await made(provider.on_share("partners", "add-object", body, by=office.ada))
        client = await provider.client("acme", "partners")
        refused = await client.query()
        assert (refused.status, "can't be shared now" in refused.response.json()["message"]) == (400, True)

    async def test_keeps_the_partitions_of_its_filter_and_ignores_hints_on_masked_values(self, office: Office) -> None:
        make_daily(office.api)
        provider = Provider(office.api)
        whole = {"asset": DAILY, "table_name": "whole"}
        await provider.share("partners", {"asset": DAILY, "partition_filter": "carrier = 'BB'"}, whole)
        client = await provider.client("acme", "partners")
        await office.policy(masks=[{"column": "carrier", "method": "CONSTANT", "constant": "--"}])
        assert [(row["id"], row["carrier"]) for row in await read(client, "gold/tables/daily")] == [
            (2, "--"),
            (3, "--"),
        ]
        equal = {"op": "equal", "children": [{"op": "column", "name": "carrier"}, {"op": "literal", "value": "AA"}]}
        for hints in ({"predicateHints": ["carrier = 'AA'"]}, {"jsonPredicateHints": json.dumps(equal)}):
            (file,) = (await client.query("gold/tables/whole", **hints)).files
            assert (file["partitionValues"], json.loads(file["stats"])) == ({}, {"numRecords": 3})

    async def test_is_refused_with_a_reason_if_a_policy_does_not_fit(self, office: Office) -> None:
        _, client = await shared(office)
        await office.policy(row_filter="country = 'DE'")
        refused = await client.query(TABLE)
        message = refused.response.json()["message"]
        assert (refused.status, "Ask the provider" in message, "country" in message) == (400, True, False)

    async def test_has_no_rows_if_none_are_left(self, office: Office) -> None:
        _, client = await shared(office)
        await office.policy(row_filter="false")
        assert (await client.query(TABLE)).files == []


class TestChange:
    async def test_ends_links_and_pages_from_before(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(restricted_files, "ROWS", 2)
        _, client = await shared(office)
        first = await office.policy(**MASK)
        (file, end) = (await client.query(TABLE, maxFiles=1)).lines[2:]
        page = {"pageToken": end["endStreamAction"]["nextPageToken"]}
        assert len((await client.query(TABLE, **page)).files) == 1
        (before,) = await contents(client, [file["file"]])
        second = await office.policy("ids", masks=[{"column": "id", "method": "NULL"}])
        assert (await client.download(file["file"]["url"])).status_code == 404
        refused = await client.query(TABLE, **page)
        assert (refused.status, "has changed" in refused.response.json()["message"]) == (400, True)
        await made(office.api.admin.post(f"{POLICIES}/{second}:disable", {}))
        assert await contents(client, [file["file"]]) == [before]
        await made(office.api.admin.post(f"{POLICIES}/{first}:disable", {}))
        assert (await client.download(file["file"]["url"])).status_code == 404
        assert (await client.query(TABLE, **page)).status == 400

    async def test_of_the_table_leaves_links_to_the_version_before(self, office: Office) -> None:
        _, client = await shared(office)
        await office.policy(**MASK)
        files = (await client.query(TABLE)).files
        before = await contents(client, files)
        office.tables.overwrite(
            PEOPLE, pa.table({"id": [9], "mail": ["secret-mail-new"], "region": ["DE"]}), evolve_schema=True
        )
        assert await contents(client, files) == before
        assert [(row["id"], row["mail"]) for row in await read(client)] == [(9, "***new")]


async def test_files_that_were_deleted_meanwhile_are_written_again_alike(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = await shared(office)
    await office.policy(**MASK)
    files = (await client.query(TABLE)).files
    before = await contents(client, files)
    monkeypatch.setattr(restricted_files, "LIFE_SECONDS", -1.0)
    assert office.api.app.platform.part(open_restricted_files).expire() == 1
    monkeypatch.undo()
    assert await contents(client, files) == before
