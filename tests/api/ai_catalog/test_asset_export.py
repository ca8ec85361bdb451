"""All rows of a table as one Parquet file: of one exact version, without what its reader may not see."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InvalidArgument
from lakehouse import parquet
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog.policies import PEOPLE, opened
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, make_tables

pytestmark = pytest.mark.effect("ai_catalog_get_asset_export")


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_tables(api.app.platform.settings, api.database)


async def export(caller: Caller, asset: str = BRONZE, **params: Any) -> pl.DataFrame:
    reply = await caller.get(f"ai-catalog/assets/{asset}/export", params=params)
    assert reply.status == 200, reply.json
    return pl.read_parquet(io.BytesIO(reply.response.content))


async def test_the_file_has_the_rows_and_types_of_the_version(api: Api, tables: Tables) -> None:
    reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/export")
    snapshot = tables.snapshot(BRONZE)
    assert reply.headers["x-data-version"] == snapshot.data_version
    assert reply.headers["content-disposition"] == "attachment"
    assert pl.read_parquet(io.BytesIO(reply.response.content)).equals(pl.DataFrame(snapshot.to_arrow()))
    assert pq.read_table(io.BytesIO(reply.response.content)).schema.equals(snapshot.schema)


async def test_an_earlier_version_and_some_columns(api: Api, tables: Tables) -> None:
    found = await export(api.viewer, version="0", columns=["carrier", "id"])
    expected = tables.snapshot(BRONZE, version=0).to_arrow(columns=["carrier", "id"])
    assert found.equals(pl.DataFrame(expected))
    assert len(found) == 10


async def test_rows_are_written_in_groups(api: Api, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/export")
    file = pq.ParquetFile(io.BytesIO(reply.response.content))
    assert (file.num_row_groups > 1, file.metadata.num_rows) == (True, 25)


async def test_a_table_without_rows_has_its_columns(api: Api, tables: Tables) -> None:
    tables.overwrite(BRONZE, tables.snapshot(BRONZE).to_arrow().slice(0, 0))
    found = await export(api.viewer)
    assert (len(found), found.columns) == (0, tables.snapshot(BRONZE).schema.names)


async def test_what_policies_hide_is_not_in_the_file(api: Api) -> None:
    office = await opened(api)
    await office.policy()
    everything, found = await export(api.admin, PEOPLE), await export(office.ada, PEOPLE)
    assert set(everything["region"]) > {"DE"}
    assert everything["mail"].null_count() == 0
    assert found["id"].to_list() == everything.filter(region="DE")["id"].to_list()
    assert (set(found["region"]), found["mail"].null_count()) == ({"DE"}, len(found))
    later = await export(office.ada, PEOPLE, version="0", columns=["mail"])
    assert later.columns == ["mail"]
    assert later["mail"].null_count() == len(later) > 0


async def test_a_download_needs_its_permission_and_that_to_read_the_rows(api: Api, tables: Tables) -> None:
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    permissions = {"sees": ["get", "export"], "reads": ["get", "preview"], "downloads": ["get", "preview", "export"]}
    statuses = {}
    for name, verbs in permissions.items():
        spec = {"title": name, "permissions": [f"ai_catalog.asset.{verb}" for verb in verbs]}
        role = (await made(api.admin.post("admin/roles", {"name": name, "spec": spec})))["id"]
        await grant(api, await user(api, name), role, "default")
        statuses[name] = (await api.caller(name).get(f"ai-catalog/assets/{BRONZE}/export")).status
    assert statuses == {"sees": 403, "reads": 403, "downloads": 200}


@pytest.mark.parametrize(
    ("params", "status", "reason"),
    [
        ({"version": "99"}, 404, "UNKNOWN_VERSION"),
        ({"columns": ["carier"]}, 400, "UNKNOWN_COLUMN"),
        ({"format": "csv"}, 400, "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_not_there_is_refused_before_the_file_begins(
    api: Api, tables: Tables, params: dict[str, Any], status: int, reason: str
) -> None:
    reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/export", params=params)
    assert (reply.status, reply.reason) == (status, reason)


async def test_the_result_of_a_statement_keeps_its_types(api: Api, tables: Tables) -> None:
    accept = {"accept": "application/vnd.apache.parquet"}
    body = {"sql": f"SELECT id, price FROM {BRONZE} ORDER BY id", "versions": {BRONZE: "0"}, "limit": 5}
    reply = await api.viewer.post("ai-catalog/queries:run", body, headers=accept)
    assert (reply.headers["content-type"], reply.headers["x-truncated"]) == (accept["accept"], "true")
    found = pl.read_parquet(io.BytesIO(reply.response.content))
    assert (found["id"].to_list(), found.schema["price"]) == ([0, 1, 2, 3, 4], pl.Decimal(10, 2))
    refused = await api.viewer.post("ai-catalog/queries:run", {"sql": "SELECT INTERVAL 1 DAY AS d"}, headers=accept)
    assert (refused.status, refused.reason) == (400, "INVALID_ARGUMENT")
    assert "Cast the column" in refused.json["detail"]


def test_a_type_that_parquet_does_not_have_is_refused_before_the_file_begins() -> None:
    rows = pa.table({"d": pa.array([None], pa.month_day_nano_interval())}).to_reader()
    with pytest.raises(InvalidArgument, match="can't be written as Parquet"):
        next(parquet.parquet(rows))
