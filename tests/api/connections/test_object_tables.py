"""Tables of the objects of a bucket: only new and changed ones are read, and their rows are replaced."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import dagster as dg
import polars as pl
import pytest

from tests.api.admin.tenants import made
from tests.api.connections.conftest import Project
from tests.api.connections.connected_tables import ASSET, failure, run, tables
from tests.api_process import Api
from tests.s3_store import s3_client, s3_store

FILES = {"kind": "objects", "connection": "files", "path": "2026"}


class Bucket:
    """A bucket, whose objects begin with the prefix of the connection."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket="sales", Key=f"data/{name}", Body=content)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket="sales", Key=f"data/{name}")


@pytest.fixture
async def bucket(project: Project) -> AsyncIterator[Bucket]:
    """A bucket with a connection to it."""
    with s3_store("sales") as options:
        config = {
            "bucket": "sales",
            "prefix": "data/",
            "endpoint": options["AWS_ENDPOINT_URL"],
            "path_style": True,
            "access_key_id": options["AWS_ACCESS_KEY_ID"],
        }
        secret = await project.secret("key", options["AWS_SECRET_ACCESS_KEY"])
        draft = project.draft("files", "s3", config, {"secret_access_key": secret})
        await made(project.api.editor.post("connections/connections", draft))
        client: Any = s3_client(options)
        for found in client.list_objects_v2(Bucket="sales").get("Contents", ()):  # of the test before
            client.delete_object(Bucket="sales", Key=found["Key"])
        yield Bucket(client)
        client.close()


def parquet(**columns: Any) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(columns).write_parquet(content)
    return content.getvalue()


def rows(api: Api) -> list[tuple[Any, ...]]:
    table = tables(api).snapshot(ASSET).to_arrow().sort_by("id")
    return list(zip(*(table.column(name).to_pylist() for name in ("id", "_object")), strict=True))


async def read(runs: dg.DagsterInstance, **options: Any) -> int:
    """The number of objects that a run reads."""
    result = await run(runs, **FILES | options)
    assert result.success, failure(result)
    (event,) = result.get_asset_materialization_events()
    return int(str(event.materialization.metadata["source/objects_read"].value))


async def test_only_new_and_changed_objects_are_read(api: Api, bucket: Bucket, runs: dg.DagsterInstance) -> None:
    bucket.put("2026/a.parquet", parquet(id=[1, 2]))
    bucket.put("2026/o'b.parquet", parquet(id=[3]))
    for name in ("2026/_SUCCESS", "2026/.hidden.parquet", "2026/folder/", "2026b/c.parquet", "top.csv"):
        bucket.put(name, b"no rows")
    assert await read(runs) == 2
    assert rows(api) == [(1, "2026/a.parquet"), (2, "2026/a.parquet"), (3, "2026/o'b.parquet")]
    version = tables(api).snapshot(ASSET).data_version
    assert await read(runs) == 0
    assert tables(api).snapshot(ASSET).data_version == version
    bucket.put("2026/deep/c.parquet", parquet(id=[4]))
    bucket.put("2026/o'b.parquet", parquet(id=[5, 6]))
    assert await read(runs) == 2
    assert [id for id, _ in rows(api)] == [1, 2, 4, 5, 6]
    bucket.put("2026/deep/d.parquet", parquet(id=[7]))
    assert await read(runs) == 1
    assert [id for id, _ in rows(api)] == [1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize("deletes", ["ignore", "detect"])
async def test_rows_of_removed_objects_are_deleted_only_if_that_is_declared(
    api: Api, bucket: Bucket, runs: dg.DagsterInstance, deletes: str
) -> None:
    bucket.put("2026/a.csv", b"id\n1\n")
    bucket.put("2026/b.csv", b"id\n2\n")
    assert await read(runs, deletes=deletes) == 2
    bucket.remove("2026/a.csv")
    assert await read(runs, deletes=deletes) == 0
    assert [id for id, _ in rows(api)] == ([2] if deletes == "detect" else [1, 2])


async def test_formats_are_read_by_the_declared_types(api: Api, bucket: Bucket, runs: dg.DagsterInstance) -> None:
    bucket.put("2026/a.csv", b"id;code\n1;007\n")
    bucket.put("2026/b.jsonl", b'{"id": 2, "code": "008"}\n')
    bucket.put("2026/c.parquet", parquet(id=[3], code=["009"]))
    columns = {"id": {"type": "int64"}, "code": {"type": "string"}}
    result = await run(runs, columns, **FILES, delimiter=";")
    assert result.success, failure(result)
    table = tables(api).snapshot(ASSET).to_arrow().sort_by("id")
    assert table.column("code").to_pylist() == ["007", "008", "009"]


async def test_an_object_that_does_not_fit_is_named_and_changes_nothing(
    api: Api, bucket: Bucket, runs: dg.DagsterInstance
) -> None:
    assert "There is no object at 2026" in failure(await run(runs, **FILES))
    bucket.put("2026/a.parquet", parquet(id=[1], code=[7]))
    assert await read(runs) == 1
    for content, fault in (
        (parquet(id=[2], code=["7"]), "code is string in 2026/b.parquet and int64 in other objects"),
        (parquet(id=[2], other=[1]), "2026/b.parquet has the column other"),
        (b"no parquet", "2026/b.parquet"),
    ):
        bucket.put("2026/b.parquet", content)
        assert fault in failure(await run(runs, **FILES))
        assert rows(api) == [(1, "2026/a.parquet")]
    bucket.put("2026/b.parquet", parquet(id=[2]))
    assert await read(runs) == 1
    assert tables(api).snapshot(ASSET).to_arrow().sort_by("id").column("code").to_pylist() == [7, None]


async def test_a_bucket_has_no_tables(bucket: Bucket, runs: dg.DagsterInstance) -> None:
    assert "has no tables to read" in failure(await run(runs, connection="files"))
