"""Tables on an S3-compatible store: the same behaviour, with two writers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from core.db import Database
from core.errors import Conflict, TableDamaged, Unavailable, UnknownTable, UnknownVersion
from lakehouse.query import Query
from lakehouse.tables import Tables
from tests.databases import with_tables
from tests.s3_store import s3_client, s3_store

TABLE = "shop.silver.orders"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, str]]:
    with s3_store("lake") as options:
        yield options


@pytest.fixture
def client(options: dict[str, str]) -> Iterator[object]:
    client = s3_client(options)
    yield client
    client.close()  # type: ignore[attr-defined]


@pytest.fixture
def root(client: object, tmp_path: Path) -> str:
    bucket = f"lake-{abs(hash(tmp_path))}"
    client.create_bucket(Bucket=bucket)  # type: ignore[attr-defined]
    return f"s3://{bucket}/tables"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = with_tables(f"sqlite:///{tmp_path / 'metadata.db'}")
    yield database
    database.close()


@pytest.fixture
def tables(root: str, options: dict[str, str], database: Database) -> Tables:
    return Tables(root, database, storage_options=options)


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "kind": pa.array(["a/b ü"] * len(ids), pa.string())})


def test_a_table_lives_there(tables: Tables) -> None:
    assert not tables.exists(TABLE)
    with pytest.raises(UnknownTable, match=r"no table shop\.silver\.orders\."):
        tables.snapshot(TABLE)
    tables.create(TABLE, rows().schema, partition_by=["kind"], constraints={"positive": "id > 0"})
    with pytest.raises(Conflict):
        tables.create(TABLE, rows().schema)
    tables.append(TABLE, rows(1, 2))
    tables.merge(TABLE, rows(2, 3), ["id"])
    tables.delete(TABLE, "id = 1")
    snapshot = tables.snapshot(TABLE)
    assert sorted(snapshot.to_arrow()["id"].to_pylist()) == [2, 3]
    assert snapshot.scan().select(pl.col("id").sum()).collect().item() == 5
    assert snapshot.to_arrow(limit=1).num_rows == 1
    assert tables.snapshot(TABLE, version=2).row_count == 2
    assert [commit.row_count for commit in tables.history(TABLE)] == [2, 3, 2, 0, 0]
    assert tables.diff(TABLE, 2, 4, key=["id"]).removed.to_pylist() == [{"id": 1, "kind": "a/b ü"}]
    assert tables.list() == [TABLE]
    result = Query(tables).sql("SELECT max(id) AS top FROM shop.silver.orders")
    assert result.table.to_pylist() == [{"top": 3}]
    with pytest.raises(UnknownVersion):
        tables.snapshot(TABLE, version=9)


def test_two_writers_both_stand(root: str, options: dict[str, str], database: Database, tables: Tables) -> None:
    tables.append(TABLE, rows(0))
    writers = [tables, Tables(root, database, storage_options=options)]
    together = threading.Barrier(2)

    def write(number: int) -> None:
        together.wait()
        for batch in range(6):
            writers[number].append(TABLE, rows(1000 * (number + 1) + batch))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    snapshot = Tables(root, database, storage_options=options).snapshot(TABLE)
    expected = [0, *(1000 * (number + 1) + batch for number in range(2) for batch in range(6))]
    assert sorted(snapshot.to_arrow()["id"].to_pylist()) == expected
    assert snapshot.version == 12
    assert tables.verify(TABLE) == []


def test_maintenance_works_there(tables: Tables) -> None:
    for number in range(4):
        tables.append(TABLE, rows(number))
    tables.pins.pin("model", TABLE, 1)
    tables.optimize(TABLE)
    tables.overwrite(TABLE, rows(9))
    assert len(tables.vacuum(TABLE, retention_hours=0)) == 3
    assert sorted(tables.snapshot(TABLE, version=1).to_arrow()["id"].to_pylist()) == [0, 1]
    tables.clone(TABLE, "shop.silver.copy")
    assert tables.snapshot("shop.silver.copy").to_arrow()["id"].to_pylist() == [9]


def test_a_lost_commit_is_noticed_there(
    tables: Tables, root: str, client: object, options: dict[str, str], database: Database
) -> None:
    for number in range(3):
        tables.append(TABLE, rows(number))
    bucket = root.split("/")[2]
    key = f"tables/shop/silver/orders/_delta_log/{2:020}.json"
    client.delete_object(Bucket=bucket, Key=key)  # type: ignore[attr-defined]
    for seen in (tables, Tables(root, database, storage_options=options)):
        with pytest.raises(TableDamaged, match="committed up to version 2"):
            seen.snapshot(TABLE)


def test_a_store_that_is_away_is_unavailable(database: Database, options: dict[str, str]) -> None:
    away = options | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "max_retries": "0", "retry_timeout": "1s"}
    tables = Tables("s3://lake/tables", database, storage_options=away)
    with pytest.raises(Unavailable, match="didn't respond"):
        tables.snapshot(TABLE)
