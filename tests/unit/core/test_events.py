"""Events have one total order without gaps, and any tampering breaks their hash chain."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import events
from core.db import METADATA, Database
from core.events import EVENT, EVENT_HEAD, Event


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    else:
        url = f"sqlite:///{tmp_path / 'metadata.db'}"
    created = Database(url)
    METADATA.create_all(created.engine, tables=[EVENT, EVENT_HEAD])
    yield created
    created.close()


def fill(database: Database, count: int = 6) -> None:
    with database.write() as connection:
        data: dict[Any, Any] = {"ratio": 0.1, "name": "Zoë \u2603", 2: ["b"], 10: None}
        events.append(connection, Event("admin.user.created", "usr_0", "ada", data, organization_id="org_1"))
    for number in range(1, count):
        with database.write() as connection:
            events.append(connection, Event("admin.user.updated", f"usr_{number}", "ada", {"n": number}))


def first_break(database: Database, **options: int) -> events.ChainBreak | None:
    with database.read() as connection:
        return events.verify_chain(connection, **options)


def test_concurrent_writers_with_rollbacks_leave_no_gap_and_commit_in_order(database: Database) -> None:
    begin = threading.Barrier(8)
    errors: list[BaseException] = []
    seen: list[list[int]] = []
    done = threading.Event()

    def write(writer: int) -> None:
        try:
            begin.wait()
            for number in range(15):
                try:
                    with database.write() as connection:
                        batch = [Event("admin.user.created", f"{writer}", "ada", {"n": number, "i": i}) for i in (0, 1)]
                        events.append_all(connection, batch)
                        if number % 3 == writer % 3:
                            raise KeyError("deliberate rollback")
                except KeyError:
                    continue
        except BaseException as error:
            errors.append(error)

    def watch() -> None:
        while not done.is_set():
            with database.read() as connection:
                seen.append(list(connection.execute(sa.select(EVENT.c.sequence).order_by(EVENT.c.sequence)).scalars()))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    watcher = threading.Thread(target=watch)
    for thread in (*threads, watcher):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    assert not errors
    for sequences in seen:  # a reader that sees a sequence number sees all lower ones
        assert sequences == list(range(1, len(sequences) + 1))
    with database.read() as connection:
        rows = connection.execute(sa.select(EVENT).order_by(EVENT.c.sequence)).all()
        assert [row.sequence for row in rows] == list(range(1, 8 * 10 * 2 + 1))
        assert events.head(connection) == (rows[-1].sequence, rows[-1].hash)
    for writer in range(8):
        of_writer = [(row.data["n"], row.data["i"]) for row in rows if row.subject == str(writer)]
        assert of_writer == [(n, i) for n in range(15) if n % 3 != writer % 3 for i in (0, 1)]
    assert first_break(database, batch=7) is None


def test_the_head_is_read_again_after_a_rollback_or_a_move_by_another_process(database: Database) -> None:
    """Each process caches the head after its last append."""
    other = Database(database.url)
    try:
        for number, writer in enumerate((database, database, other, database, other, other, database), 1):
            with contextlib.suppress(KeyError), writer.write() as connection:
                # The cached head then has the sequence number of the next event, but another hash.
                events.append(connection, Event("admin.user.created", "lost", "ada", {"n": number}))
                raise KeyError
            with writer.write() as connection:
                with contextlib.suppress(KeyError), connection.begin_nested():
                    events.append(connection, Event("admin.user.created", "lost", "ada"))
                    raise KeyError
                assert events.append(connection, Event("admin.user.created", "usr_1", "ada", {"n": number})) == number
    finally:
        other.close()
    assert first_break(database) is None


def test_an_event_reads_back_unchanged(database: Database) -> None:
    event = Event(
        "admin.user.created", "usr_1", "ada", {"n": 1}, "req_1", organization_id="org_1", project_id="prj_1",
        principal_id="usr_9", on_behalf_of="bob",
    )  # fmt: skip
    with database.write() as connection:
        assert events.append(connection, event) == 1
        assert events.append_all(connection, []) == 0
    with database.read() as connection:
        read = events.event_from_row(connection.execute(sa.select(EVENT)).one())
    assert read.sequence == 1
    assert read.event.kind == "admin.user"
    assert read.to_cloudevent() == event.to_cloudevent() | {"sequence": f"{1:020}"}
    assert read.to_cloudevent()["organizationid"] == "org_1"


def test_the_trace_context_is_stored_outside_the_hash_chain(database: Database) -> None:
    """Hashes of events from before the column existed stay valid."""
    id, at = "evt_1", datetime(2026, 11, 1, tzinfo=UTC)
    scope = {"organization_id": "org_1", "principal_id": "usr_9"}
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    event = Event("admin.user.created", "usr_1", "ada", {"n": 1}, "req_1", id, at, traceparent=trace, **scope)  # type: ignore[arg-type]
    with database.write() as connection:
        events.append(connection, event)
    with database.read() as connection:
        row = connection.execute(sa.select(EVENT)).one()
    assert row.hash == "26e5333cb914ddaa365868617ac4932754fdbe1c135a2e0b7f59ea79152df433"
    assert events.event_from_row(row).to_cloudevent()["traceparent"] == trace
    assert first_break(database) is None


def test_an_intact_chain_verifies_over_any_range(database: Database) -> None:
    assert first_break(database) is None
    fill(database)
    assert first_break(database, batch=2) is None
    assert first_break(database, after=2) is None
    assert first_break(database, after=1, until=3) is None
    assert first_break(database, after=6) is None


def renumber(connection: Connection) -> None:
    for old, new in ((3, 99), (4, 3), (99, 4)):
        connection.execute(EVENT.update().where(EVENT.c.sequence == old).values(sequence=new))


def sql(statement: str) -> Callable[[Connection], object]:
    return lambda connection: connection.exec_driver_sql(statement)


TAMPERING: dict[str, tuple[Callable[[Connection], object], int]] = {
    "actor": (sql("UPDATE event SET principal = 'eve' WHERE sequence = 3"), 3),
    "facts": (sql("UPDATE event SET data = '{\"n\": 7}' WHERE sequence = 4"), 4),
    "organization": (sql("UPDATE event SET organization_id = 'org_2' WHERE sequence = 1"), 1),
    "hash": (sql("UPDATE event SET hash = previous_hash WHERE sequence = 2"), 2),
    "missing": (sql("DELETE FROM event WHERE sequence = 3"), 3),
    "first missing": (sql("DELETE FROM event WHERE sequence = 1"), 1),
    "reordered": (renumber, 3),
    "tail cut": (sql("DELETE FROM event WHERE sequence > 4"), 5),
    "head set back": (sql("UPDATE event_head SET sequence = 4"), 5),
    "head hash": (sql("UPDATE event_head SET hash = 'x'"), 6),
    "head gone": (sql("DELETE FROM event_head"), 1),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_reported_at_the_first_altered_event(database: Database, name: str) -> None:
    tamper, sequence = TAMPERING[name]
    fill(database)
    with database.write() as connection:
        tamper(connection)
    chain_break = first_break(database, batch=2)
    assert chain_break is not None
    assert chain_break.sequence == sequence


def test_a_rewritten_tail_and_head_differ_from_an_external_copy_of_the_hash(database: Database) -> None:
    fill(database)
    with database.read() as connection:
        external_copy = events.head(connection)
    with database.write() as connection:
        fifth = connection.execute(sa.select(EVENT.c.hash).where(EVENT.c.sequence == 5)).scalar_one()
        connection.execute(EVENT.delete().where(EVENT.c.sequence == 6))
        connection.execute(EVENT_HEAD.update().values(sequence=5, hash=fifth))
    fill(database, 1)
    with database.read() as connection:
        assert events.verify_chain(connection) is None
        assert events.head(connection)[0] == external_copy[0]
        assert events.head(connection) != external_copy


def test_callbacks_run_only_after_a_commit_with_events(database: Database) -> None:
    notified: list[int] = []

    def record_head() -> None:
        with database.read() as connection:
            notified.append(events.head(connection)[0])

    database.after_commit.append(record_head)
    with database.engine.connect() as connection:
        events.append(connection, Event("admin.user.created", "usr_0", "ada"))
    with database.write() as connection:
        connection.execute(sa.select(sa.func.count()).select_from(EVENT))
    assert notified == []
    with database.write() as connection:
        events.append(connection, Event("admin.user.created", "usr_0", "ada"))
        events.append(connection, Event("admin.user.created", "usr_1", "ada"))
        assert notified == []
    assert notified == [2]
