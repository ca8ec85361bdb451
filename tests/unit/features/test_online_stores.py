"""Both stores: one version per answer, whole or not at all, with pushed rows beside it until they are superseded."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, InvalidPayload, Unavailable, WriteConflict
from features.embedded import EmbeddedStore
from features.encoding import key_bytes
from features.history import FeatureStatus
from features.lookup import OnlineFeatures, encoded_keys, look_up
from features.online import Found, OnlineRow, OnlineStore, serving
from features.redis_store import RedisStore
from features.rows import ViewColumns, microseconds
from tests.brokers import Redis
from tests.unit.features.frames import ASSET, TABLE, at, customers, interrupted, rows_of, write

COLUMNS = ViewColumns(("customer",), "seen_at", ("spent",))


def ask(
    store: OnlineStore, *customer: Any, minute: int = 10, columns: ViewColumns = COLUMNS
) -> tuple[Found, OnlineFeatures]:
    served = store.served(ASSET)
    assert served
    keys = encoded_keys(served, [{"customer": one} for one in customer], {"customer": "customer"}, "/entities")
    found = store.read(ASSET, [key for key in keys if key])
    assert found
    return found, look_up(found, columns, keys, columns.features, microseconds(at(minute)))


def spent(store: OnlineStore, *customer: Any, minute: int = 10) -> list[Any]:
    return ask(store, *customer, minute=minute)[1].values["spent"].to_pylist()  # type: ignore[no-any-return]


def test_nothing_is_served_before_the_first_write(store: OnlineStore) -> None:
    assert store.served(ASSET) is None
    assert store.read(ASSET, [b"x"]) is None


def test_rows_become_the_newest_when_their_time_comes(store: OnlineStore) -> None:
    write(
        store, rows_of(customers((1, 0, 1.0), (1, 5, 5.0), (1, 20, 20.0), (2, 30, 2.0)), COLUMNS), microseconds(at(9))
    )
    assert spent(store, 1, 2) == [5.0, None]
    assert spent(store, 1, 2, minute=20) == [20.0, None]
    assert spent(store, 1, 2, minute=40) == [20.0, 2.0]
    served = store.served(ASSET)
    assert served
    assert (served.rows, served.entities, served.data_version) == (3, 2, "t@1")


def test_an_answer_is_never_older_than_its_rows_are_complete(store: OnlineStore) -> None:
    write(store, rows_of(customers((1, 0, 1.0), (1, 5, 5.0)), COLUMNS), microseconds(at(9)))
    _, answer = ask(store, 1, minute=2)
    assert answer.moment == microseconds(at(9))
    assert answer.values["spent"].to_pylist() == [5.0]


def test_statuses(store: OnlineStore) -> None:
    write(store, rows_of(customers((1, 0, 1.0), (2, 9, None), (None, 9, 3.0), (4, None, 3.0)), COLUMNS), 0)
    limited = ViewColumns(("customer",), "seen_at", ("spent",), timedelta(minutes=5))
    _, answer = ask(store, 1, 2, 3, 4, None, columns=limited)
    assert answer.statuses == [
        FeatureStatus.OUTSIDE_MAX_AGE,
        FeatureStatus.PRESENT,
        *[FeatureStatus.NOT_FOUND] * 3,
    ]
    assert answer.values["spent"].to_pylist() == [None] * 5


@pytest.mark.parametrize("key", [1.0, float("nan"), "1", True, 2**63, -(2**63) - 1, [1], {"a": 1}])
def test_a_key_of_another_type_is_refused(store: OnlineStore, key: Any) -> None:
    write(store, rows_of(customers((1, 0, 1.0)), COLUMNS), 0)
    with pytest.raises(InvalidPayload, match="customer must be an integer of 64 bits"):
        ask(store, key)


def test_another_key_or_a_missing_feature_is_a_conflict(store: OnlineStore) -> None:
    write(store, rows_of(customers((1, 0, 1.0)), COLUMNS), 0)
    found = store.read(ASSET, [])
    assert found
    with pytest.raises(Conflict, match="declares others"):
        look_up(found, ViewColumns(("shop",), "seen_at", ("spent",)), [], ["spent"], 0)
    with pytest.raises(Conflict, match="lack 'visits'"):
        look_up(found, COLUMNS, [], ["visits"], 0)


def test_an_interrupted_write_changes_nothing(store: OnlineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.online.BATCH", 1)
    write(store, rows_of(customers((1, 0, 1.0), (2, 0, 2.0)), COLUMNS), 0)
    made = serving(
        rows_of(customers((1, 0, 10.0), (2, 0, 20.0)), COLUMNS), table=TABLE, table_id="t", table_version=2, as_of=0
    )
    with pytest.raises(KeyboardInterrupt):
        store.write(ASSET, made.served, interrupted(made.batches, 1))
    assert spent(store, 1, 2) == [1.0, 2.0]
    assert write(store, rows_of(customers((1, 0, 3.0)), COLUMNS), 0, version=3)
    assert spent(store, 1, 2) == [3.0, None]


def test_an_older_version_does_not_replace_a_newer_one(store: OnlineStore) -> None:
    assert write(store, rows_of(customers((1, 0, 2.0)), COLUMNS), 0, version=2)
    assert not write(store, rows_of(customers((1, 0, 1.0)), COLUMNS), 0, version=1)
    assert spent(store, 1) == [2.0]
    # A table that was created again counts its versions from the beginning.
    assert write(store, rows_of(customers((1, 0, 9.0)), COLUMNS), 0, version=0, table_id="u")
    assert spent(store, 1) == [9.0]


def test_the_write_that_began_last_wins(store: OnlineStore) -> None:
    early = serving(rows_of(customers((1, 0, 1.0)), COLUMNS), table=TABLE, table_id="t", table_version=1, as_of=0)

    def overtaken() -> Iterator[Any]:
        yield from early.batches
        write(store, rows_of(customers((1, 0, 2.0)), COLUMNS), 0, version=2)

    with pytest.raises(WriteConflict):
        store.write(ASSET, early.served, overtaken())
    assert spent(store, 1) == [2.0]


class TestPushedRows:
    def row(self, minute: int, value: float) -> tuple[bytes, OnlineRow]:
        import msgspec

        return key_bytes([1]), OnlineRow(microseconds(at(minute)), msgspec.msgpack.encode([value]), "clicks")

    def test_the_newest_counts_and_names_its_source(self, store: OnlineStore) -> None:
        write(store, rows_of(customers((1, 5, 5.0)), COLUMNS), 0)
        assert store.push(ASSET, [self.row(6, 6.0)]) == 1
        assert store.push(ASSET, [self.row(4, 4.0)]) == 0
        _, answer = ask(store, 1)
        assert answer.values["spent"].to_pylist() == [6.0]
        assert answer.sources == ["clicks"]

    def test_an_older_one_does_not_hide_the_row_of_the_table(self, store: OnlineStore) -> None:
        write(store, rows_of(customers((1, 5, 5.0)), COLUMNS), 0)
        store.push(ASSET, [self.row(4, 4.0)])
        _, answer = ask(store, 1)
        assert answer.values["spent"].to_pylist() == [5.0]
        assert answer.sources == [""]

    def test_the_next_version_supersedes_those_that_were_there_when_it_began(self, store: OnlineStore) -> None:
        write(store, rows_of(customers((1, 5, 5.0)), COLUMNS), 0)
        store.push(ASSET, [self.row(6, 6.0)])
        write(store, rows_of(customers((1, 5, 5.5)), COLUMNS), 0, version=2)
        assert spent(store, 1) == [5.5]
        made = serving(rows_of(customers((1, 5, 7.0)), COLUMNS), table=TABLE, table_id="t", table_version=3, as_of=0)

        def meanwhile() -> Iterator[Any]:
            store.push(ASSET, [self.row(8, 8.0)])
            yield from made.batches

        store.write(ASSET, made.served, meanwhile())
        assert spent(store, 1) == [8.0]


def test_removed_rows_are_not_served(store: OnlineStore) -> None:
    write(store, rows_of(customers((1, 0, 1.0)), COLUMNS), 0)
    store.push(ASSET, [TestPushedRows().row(6, 6.0)])
    before = store.served(ASSET)
    assert before
    write(store, rows_of(customers((1, 0, 2.0)), COLUMNS), 0, version=2)
    assert not store.remove(ASSET, before), "another version is served"
    assert spent(store, 1) == [2.0]
    store.push(ASSET, [TestPushedRows().row(6, 6.0)])
    assert store.assets() == [ASSET]
    now = store.served(ASSET)
    assert now
    assert store.remove(ASSET, now)
    assert (store.served(ASSET), store.assets()) == (None, [])
    write(store, rows_of(customers((1, 0, 3.0)), COLUMNS), 0, version=0)
    assert spent(store, 1) == [3.0]


def test_expired_rows_are_deleted(store: OnlineStore) -> None:
    write(store, rows_of(customers((1, 0, 1.0), (1, 9, 9.0), (2, 0, 2.0), (3, 8, 3.0)), COLUMNS), 0)
    store.push(ASSET, [TestPushedRows().row(5, 5.0)])
    assert store.expire(ASSET, microseconds(at(6))) == 3
    assert store.expire(ASSET, microseconds(at(6))) == 0
    assert spent(store, 1, 2, 3) == [9.0, None, 3.0]
    assert spent(store, 1, minute=6) == [None]


def test_rows_that_are_too_old_are_not_written(store: OnlineStore) -> None:
    rows = rows_of(customers((1, 0, 1.0), (2, 8, 2.0)), COLUMNS)
    moment = microseconds(at(10))
    made = serving(rows, table=TABLE, table_id="t", table_version=1, as_of=moment, max_age=5 * 60_000_000)
    store.write(ASSET, made.served, made.batches)
    assert spent(store, 1, 2) == [None, 2.0]
    assert made.served.rows == 1
    assert spent(store, 2, minute=13) == [2.0]
    assert spent(store, 2, minute=14) == [None], "expired, and not deleted yet"


def test_no_answer_mixes_two_versions(store: OnlineStore) -> None:
    entities = list(range(50))
    stop = threading.Event()
    mixed: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            found, answer = ask(store, *entities)
            values = set(answer.values["spent"].to_pylist())
            if values != {float(found.served.table_version)}:
                mixed.append((found.served.table_version, values))

    write(store, rows_of(customers(*((one, 0, 1.0) for one in entities)), COLUMNS), 0, version=1)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(2, 25):
        content = customers(*((one, 0, float(version)) for one in entities))
        write(store, rows_of(content, COLUMNS), 0, version=version)
    stop.set()
    for reader in readers:
        reader.join()
    assert mixed == []


def _killed(folder: Path) -> None:
    store = EmbeddedStore(folder)
    made = serving(
        rows_of(customers((1, 0, 10.0), (2, 0, 20.0)), COLUMNS), table=TABLE, table_id="t", table_version=2, as_of=0
    )

    def batches() -> Iterator[Any]:
        yield next(made.batches)
        os.kill(os.getpid(), signal.SIGKILL)

    store.write(ASSET, made.served, batches())


def test_a_killed_writer_leaves_the_version_before(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    write(store, rows_of(customers((1, 0, 1.0), (2, 0, 2.0)), COLUMNS), 0)
    process = multiprocessing.get_context("spawn").Process(target=_killed, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert spent(store, 1, 2) == [1.0, 2.0]
    assert write(store, rows_of(customers((1, 0, 3.0)), COLUMNS), 0, version=3)
    assert spent(store, 1, 2) == [3.0, None]
    store.close()


def test_a_replaced_file_is_opened_again(tmp_path: Path) -> None:
    store, other = EmbeddedStore(tmp_path), EmbeddedStore(tmp_path)
    write(store, rows_of(customers((1, 0, 1.0)), COLUMNS), 0)
    assert spent(other, 1) == [1.0]
    for file in tmp_path.iterdir():
        file.unlink()
    assert other.served(ASSET) is None
    write(store, rows_of(customers((1, 0, 2.0)), COLUMNS), 0)
    assert spent(other, 1) == [2.0]
    store.close()
    other.close()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    (tmp_path / "shop.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match="is damaged"):
        store.served(ASSET)


def test_a_redis_that_is_away_is_named(redis_server: Redis) -> None:
    store = RedisStore(redis_server.url_with("wrong"))
    with pytest.raises(Unavailable, match="HEADWATER_ONLINE_STORE_URL") as caught:
        store.served(ASSET)
    assert "wrong" not in str(caught.value)
    store = RedisStore("redis://127.0.0.1:1")
    with pytest.raises(Unavailable, match="does not respond"):
        store.push(ASSET, [(b"x", OnlineRow(0, b""))])


def test_a_redis_that_stays_away_is_not_asked_again_for_a_moment(
    redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.redis_store._OPEN_SECONDS", 0.5)
    store = RedisStore(redis_server.url)
    address = store._client.connection_pool.connection_kwargs
    port = address["port"]
    address["port"] = 1
    for _ in range(5):
        with pytest.raises(Unavailable, match="does not respond"):
            store.served(ASSET)
    with pytest.raises(Unavailable, match="refused for a moment"):
        store.served(ASSET)
    address["port"] = port
    store._client.connection_pool.reset()
    with pytest.raises(Unavailable, match="refused for a moment"):
        store.served(ASSET)
    time.sleep(0.6)
    store.served(ASSET)
    store.served(ASSET)
