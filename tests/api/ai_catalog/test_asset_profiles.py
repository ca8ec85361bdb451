"""Profiles and schema histories: exact for the version that was asked for, and only for callers who read the rows."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pyarrow as pa
import pytest

from api.kernel.platform import open_tables
from tests.api.admin.tenants import grant, tenant, user
from tests.api_process import Api

ASSET = "flights.gold.daily"
ROWS = pa.table(
    {
        "delay": pa.array([1.5, math.nan, math.inf, None, 3.5, 2.5], pa.float64()),
        "flights": pa.array([2**62, 1, 1, 2, 3, None], pa.int64()),
        "price": pa.array([None, None, None, None, None, None], pa.decimal128(10, 2)),
        "carrier": pa.array(["AA", "AA", "DL", "'; DROP", None, "é" * 300], pa.string()),
        "day": pa.array([dt.date(2013, 1, day) for day in range(1, 7)], pa.date32()),
        "late": pa.array([True, True, False, None, True, False], pa.bool_()),
        "stops": pa.array([["a"], [], None, ["b"], ["a"], ["c"]], pa.list_(pa.string())),
        'odd " name': pa.array([1, 1, 1, 1, 1, 1], pa.int8()),
    }
)


def write(api: Api, rows: pa.Table, **options: Any) -> None:
    api.app.platform.part(open_tables).overwrite(ASSET, rows, **options)


async def profile(api: Api, **query: Any) -> dict[str, Any]:
    reply = await api.viewer.get(f"ai-catalog/assets/{ASSET}/profile", params=query)
    assert reply.status == 200, reply.response.text
    return {**reply.json, "by_name": {column["name"]: column for column in reply.json["columns"]}}


async def test_each_column_has_its_statistics(api: Api) -> None:
    write(api, ROWS)
    found = await profile(api)
    columns = found["by_name"]
    assert (found["row_count"], list(columns)) == (6, ROWS.schema.names)
    delay = columns["delay"]
    assert (delay["nulls"], delay["not_finite"], delay["mean"]) == (1, 2, 2.5)
    assert (delay["minimum"], delay["maximum"], delay["quartiles"][1]) == ("1.5", "3.5", 2.5)
    assert sum(one["count"] for one in delay["histogram"]) == 3
    assert (delay["histogram"][0]["count"], delay["histogram"][-1]["upper"]) == (1, 3.5)
    assert columns["flights"]["maximum"] == str(2**62), "exact, although the mean is not"
    assert (columns["price"]["nulls"], columns["price"]["minimum"], columns["price"]["top"]) == (6, None, None)
    assert columns["carrier"]["top"][0] == {"value": "AA", "count": 2}
    assert {"value": "'; DROP", "count": 1} in columns["carrier"]["top"]
    assert max(len(one["value"]) for one in columns["carrier"]["top"]) == 200
    assert (columns["day"]["minimum"], columns["day"]["maximum"]) == ("2013-01-01", "2013-01-06")
    assert columns["late"]["top"] == [{"value": "true", "count": 3}, {"value": "false", "count": 2}]
    assert (columns["stops"]["nulls"], columns["stops"]["distinct"], columns["stops"]["top"]) == (1, None, None)
    assert (columns['odd " name']["histogram"], columns['odd " name']["distinct"]) == ([], 1)


async def test_a_profile_is_of_the_version(api: Api) -> None:
    write(api, pa.table({"n": [1, 2, 3]}))
    write(api, pa.table({"n": [7]}))
    assert (await profile(api, version="0"))["by_name"]["n"]["maximum"] == "3"
    assert (await profile(api))["by_name"]["n"]["maximum"] == "7"
    assert (await profile(api, version="0"))["row_count"] == 3
    missing = await api.viewer.get(f"ai-catalog/assets/{ASSET}/profile", params={"version": "9"})
    assert missing.status == 404


async def test_a_table_without_rows_has_a_profile(api: Api) -> None:
    write(api, ROWS.slice(0, 0))
    found = await profile(api)
    assert found["row_count"] == 0
    assert all(column["nulls"] == 0 and not column["top"] for column in found["columns"])


@pytest.mark.parametrize("part", ["profile", "diff"])
async def test_who_may_not_read_the_rows_gets_no_value(api: Api, part: str) -> None:
    write(api, ROWS)
    write(api, ROWS.slice(0, 3))
    ana = await user(api, "ana")
    await grant(api, ana, "ai_catalog.asset.get", "flights.gold.daily")
    await grant(api, ana, f"ai_catalog.asset.{part}", "flights.gold.daily")
    path = f"ai-catalog/assets/{ASSET}/{part}"
    assert (await api.caller("ana").get(path)).status == 403
    assert (await (await tenant(api, "other")).admin.get(path)).status == 404
    await grant(api, ana, "ai_catalog.asset.preview", "flights.gold.daily")
    assert (await api.caller("ana").get(path)).status == 200


async def test_the_schema_has_a_history(api: Api) -> None:
    write(api, pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]}))
    write(api, pa.table({"a": pa.array([2], pa.int32()), "b": ["y"]}))
    write(api, pa.table({"a": pa.array([3], pa.int32()), "c": [1.5]}), evolve_schema=True)
    path = f"ai-catalog/assets/{ASSET}/schema-history"
    items = (await api.viewer.get(path)).json["items"]
    assert [item["table_version"] for item in items] == [2, 0]
    assert (items[0]["columns_added"], items[0]["columns_removed"]) == ({"c": "double"}, {"b": "string"})
    assert items[1]["columns_added"] == {"a": "int32", "b": "string"}
    first = (await api.viewer.get(path, params={"page_size": 1})).json
    rest = (await api.viewer.get(path, params={"page_size": 1, "page_token": first["next_page_token"]})).json
    assert [one["table_version"] for one in (*first["items"], *rest["items"])] == [2, 0]
    assert rest["next_page_token"] is None


@pytest.mark.parametrize("token", ["x", "-1", "99999999999999999999", "0"])
async def test_a_token_that_is_none_is_refused_or_the_end(api: Api, token: str) -> None:
    write(api, pa.table({"a": [1]}))
    reply = await api.viewer.get(f"ai-catalog/assets/{ASSET}/schema-history", params={"page_token": token})
    assert reply.status == (200 if token == "0" else 400)
