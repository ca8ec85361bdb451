"""States of partitions: one or two dimensions, in keys or in ranges, as Dagster answers them."""

from __future__ import annotations

from typing import Any

from api.gateways.dagster.partition_parsing import states


def answer(keys: list[str], dimensions: dict[str, list[str]], **known: Any) -> dict[str, Any]:
    by_dimension = [{"name": name, "partitionKeys": of} for name, of in dimensions.items()]
    return {"partitionKeys": keys, "partitionKeysByDimension": by_dimension, "assetPartitionStatuses": known}


def lists(made: list[str], failed: list[str], running: list[str]) -> dict[str, Any]:
    return {"materializedPartitions": made, "failedPartitions": failed, "materializingPartitions": running}


def test_keys_keep_their_order_and_those_without_a_state_are_missing() -> None:
    known = lists(["c", "gone", "a"], ["b"], ["c"])
    found = states(answer(list("dcba"), {"default": list("dcba")}, __typename="DefaultPartitionStatuses", **known))
    assert list(found.items()) == [("d", "MISSING"), ("c", "RUNNING"), ("b", "FAILED"), ("a", "MATERIALIZED")]


def test_ranges_of_times_include_both_ends() -> None:
    days = [f"2026-01-0{day}" for day in range(1, 8)]
    ranges = [
        {"startKey": days[0], "endKey": days[2], "status": "MATERIALIZED"},
        {"startKey": days[3], "endKey": days[3], "status": "FAILED"},
        {"startKey": days[5], "endKey": days[5], "status": "MATERIALIZING"},
        {"startKey": "2025-12-30", "endKey": "2025-12-31", "status": "MATERIALIZED"},
    ]
    found = states(answer(days, {"default": days}, __typename="TimePartitionStatuses", ranges=ranges))
    assert list(found.values()) == [*["MATERIALIZED"] * 3, "FAILED", "MISSING", "RUNNING", "MISSING"]


def test_keys_of_two_dimensions_are_in_the_order_of_the_names() -> None:
    days, regions = ["d1", "d2", "d3"], ["eu", "us"]
    keys = [f"{day}|{region}" for day in days for region in regions]
    first = {"__typename": "DefaultPartitionStatuses", **lists(["eu"], ["us"], [])}
    second = {
        "__typename": "TimePartitionStatuses",
        "ranges": [{"startKey": "d2", "endKey": "d3", "status": "MATERIALIZED"}],
    }
    by_day = [{"primaryDimStartKey": "d1", "primaryDimEndKey": "d2", "secondaryDim": first}]
    by_region = [{"primaryDimStartKey": "us", "primaryDimEndKey": "us", "secondaryDim": second}]
    dimensions = {"region": regions, "day": days}
    known = {"__typename": "MultiPartitionStatuses", "primaryDimensionName": "day", "ranges": by_day}
    assert states(answer(keys, dimensions, **known)) == dict.fromkeys(keys, "MISSING") | {
        "d1|eu": "MATERIALIZED",
        "d1|us": "FAILED",
        "d2|eu": "MATERIALIZED",
        "d2|us": "FAILED",
    }
    known |= {"primaryDimensionName": "region", "ranges": by_region}
    made = {key for key, state in states(answer(keys, dimensions, **known)).items() if state == "MATERIALIZED"}
    assert made == {"d2|us", "d3|us"}


def test_an_asset_without_partitions_or_that_is_gone_has_none() -> None:
    assert states({"__typename": "AssetNotFoundError"}) == {}
