"""The first row of a key may be made by several at once: one makes it, and no change is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import epochs, throttle
from api.kernel.tables import AUTH_EPOCH, LOGIN_FAILURE
from api.services.admin.logic import password_policy
from api.services.admin.login_tables import SETTING
from core.db import METADATA, Database

WRITERS = 8


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    else:
        url = f"sqlite:///{tmp_path / 'metadata.db'}"
    made = Database(url)
    METADATA.create_all(made.engine, tables=[AUTH_EPOCH, LOGIN_FAILURE, SETTING])
    yield made
    made.close()


def at_once(database: Database, change: Callable[[Connection], object]) -> None:
    """Each writer has begun its transaction, and so can see no other's row, before any of them writes."""
    begun = threading.Barrier(1 if database.url.startswith("sqlite") else WRITERS)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            with database.write() as connection:
                begun.wait()
                change(connection)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_every_failed_login_counts(database: Database) -> None:
    at_once(database, lambda connection: throttle.note(connection, throttle.login("ada", "192.0.2.1")))
    with database.read() as connection:
        assert connection.execute(sa.select(LOGIN_FAILURE.c.failures)).scalars().all() == [WRITERS] * 2


def test_every_revocation_begins_an_epoch(database: Database) -> None:
    at_once(database, epochs.bump)
    with database.read() as connection:
        assert epochs.current(connection) == WRITERS


def test_settings_are_made_once(database: Database) -> None:
    policy = password_policy.Policy()
    at_once(database, lambda connection: password_policy.save(connection, policy, "ada"))
    with database.read() as connection:
        assert password_policy.load(connection) == policy
        assert connection.execute(sa.select(sa.func.count()).select_from(SETTING)).scalar() == 1
