"""The online asset: it serves the version of its table that it read, and records what it served."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from assets.features.online import OnlineFeaturesComponent
from core.db import METADATA, Database
from core.ids import asset_key
from core.settings import load_settings
from features.encoding import key_bytes
from features.online import OnlineStore, decoded, open_store
from jobs.maintenance import maintain_tables
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.delta import Delta

TABLE, ONLINE = "shop.features.customers", "shop.online.customers"


def customers(*spent: float) -> pa.Table:
    return pa.table(
        {
            "customer": pa.array(range(len(spent)), pa.int64()),
            "predicted_at": pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * len(spent), pa.timestamp("us", "UTC")),
            "spent": list(spent),
        }
    )


@pytest.fixture
def tables(home: Path) -> Tables:
    settings = load_settings()
    database = Database(settings.effective_database_url)
    METADATA.create_all(database.engine)
    tables = Tables.from_settings(settings, database)
    tables.overwrite(TABLE, customers(1.0, 2.0))
    return tables


@pytest.fixture
def store(tables: Tables) -> Iterator[OnlineStore]:
    opened = open_store(load_settings())
    yield opened
    opened.close()


def run(instance: dg.DagsterInstance, **changes: Any) -> dg.AssetMaterialization:
    declared = OnlineFeaturesComponent.model_validate(
        {"asset": ONLINE, "description": "d", "table": TABLE, "keys": ["customer"]} | changes
    )
    definitions = dg.Definitions.merge(
        dg.build_defs_for_component(declared),
        dg.Definitions(
            resources={"delta": Delta()},
            jobs=[dg.define_asset_job("online", dg.AssetSelection.assets(dg.AssetKey(asset_key(ONLINE))))],
            executor=dg.in_process_executor,
        ),
    )
    result = definitions.resolve_job_def("online").execute_in_process(instance=instance)
    return result.asset_materializations_for_node(declared.op_name)[0]


def spent(store: OnlineStore, customer: int) -> tuple[str, Any]:
    found = store.read(ONLINE, [key_bytes([customer])])
    assert found
    (row,) = found.rows[key_bytes([customer])]
    return found.served.data_version, decoded(row)[0]


def test_the_online_rows_follow_the_table(tables: Tables, store: OnlineStore) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = run(instance)
        batch = tables.snapshot(TABLE).data_version
        assert first.metadata["online/data_version"].value == batch
        assert first.metadata["online/rows"].value == 2
        assert first.metadata["online/lag_seconds"].value >= 0
        assert spent(store, 1) == (batch, 2.0)

        again = run(instance)
        assert again.metadata["online/written"].value is False
        assert again.tags["dagster/data_version"] == first.tags["dagster/data_version"]

        tables.overwrite(TABLE, customers(1.0, 5.0))
        assert spent(store, 1) == (batch, 2.0), "until the asset is materialized"
        second = run(instance)
        newer = tables.snapshot(TABLE).data_version
        assert spent(store, 1) == (newer, 5.0)
    record = tables.snapshot(ONLINE).to_arrow()
    assert record["data_version"].to_pylist() in ([batch, newer], [newer, batch])
    (edge,) = Lineage(Database(load_settings().effective_database_url)).provenance(
        ONLINE, second.tags["dagster/data_version"]
    )[:1]
    assert (edge.in_asset, edge.in_version) == (TABLE, newer)


def test_a_lost_store_is_filled_again(tables: Tables, store: OnlineStore) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run(instance)
        store.close()
        for file in (load_settings().home / "online").iterdir():
            file.unlink()
        assert run(instance).metadata["online/written"].value is True
    assert spent(open_store(load_settings()), 1)[1] == 2.0


def test_a_table_that_was_created_anew_replaces_the_rows(tables: Tables, store: OnlineStore) -> None:
    import shutil

    with dg.DagsterInstance.ephemeral() as instance:
        tables.overwrite(TABLE, customers(1.0, 2.5))
        run(instance)
        shutil.rmtree(tables.uri(TABLE))
        fresh = Tables.from_settings(load_settings(), Database(load_settings().effective_database_url))
        fresh.overwrite(TABLE, customers(9.0, 9.5))
        run(instance)
        assert spent(store, 1) == (fresh.snapshot(TABLE).data_version, 9.5)


def test_rows_of_a_deleted_table_are_removed_by_maintenance(tables: Tables, store: OnlineStore) -> None:
    import shutil

    with dg.DagsterInstance.ephemeral() as instance:
        run(instance)
        maintain_tables.execute_in_process(resources={"delta": Delta()}, instance=instance)
        assert store.served(ONLINE)
        shutil.rmtree(tables.uri(TABLE))
        maintain_tables.execute_in_process(resources={"delta": Delta()}, instance=instance)
    assert store.served(ONLINE) is None


def test_old_rows_are_not_served(tables: Tables, store: OnlineStore) -> None:
    old, young = datetime(2026, 3, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(hours=1)
    times = pa.array([old, young], pa.timestamp("us", "UTC"))
    tables.overwrite(TABLE, customers(1.0, 2.0).set_column(1, "predicted_at", times))
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(instance).metadata["online/rows"].value == 2
        made = run(instance, max_age="2h")
        assert (made.metadata["online/rows"].value, made.metadata["online/written"].value) == (1, True)


def test_features_can_be_chosen_and_changed(tables: Tables, store: OnlineStore) -> None:
    tables.overwrite(TABLE, customers(1.0).append_column("visits", pa.array([3])), evolve_schema=True)
    with dg.DagsterInstance.ephemeral() as instance:
        run(instance, features=["spent"])
        assert spent(store, 0)[1] == 1.0
        run(instance, features=["visits"])
        assert spent(store, 0)[1] == 3
