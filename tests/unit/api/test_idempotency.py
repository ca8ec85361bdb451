"""Keys of repeated requests: one request each, one principal's, for a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request

from api.kernel.http import replays
from api.kernel.storage import idempotency
from api.kernel.storage.idempotency import RETENTION, Claim
from api.kernel.tables import IDEMPOTENCY
from core.errors import Conflict, IdempotencyKeyReused, InvalidArgument
from tests.sagas import later

CLAIM = Claim("usr_1", "key", "digest", "rights")


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        IDEMPOTENCY.create(connection)
        yield connection
    engine.dispose()


def keys(connection: Connection) -> list[str]:
    return list(connection.execute(sa.select(IDEMPOTENCY.c.key).order_by(IDEMPOTENCY.c.key)).scalars())


def claimed(**changed: Any) -> Claim:
    words = {
        "method": "POST",
        "path": "/a",
        "query": b"",
        "etag": "",
        "organization": "org_1",
        "body": b"{}",
        "key": "k",
    }
    words |= changed
    headers = [(b"idempotency-key", words["key"].encode()), (b"if-match", words["etag"].encode())]
    scope = {"type": "http", "method": words["method"], "path": words["path"], "query_string": words["query"]}
    principal: Any = SimpleNamespace(
        id=words.get("id", "usr_1"),
        organization_id=words["organization"],
        access=SimpleNamespace(digest=words.get("rights", "rights")),
    )
    found = replays.claim_of(Request(scope | {"headers": headers}), principal, words["body"])
    assert found is not None
    return found


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PATCH"},
        {"path": "/b"},
        {"query": b"validate_only=true"},
        {"etag": '"1-x"'},
        {"organization": "org_2"},
        {"body": b"{ }"},
        {"path": "/", "query": b"a"},
        {"method": "POS", "path": "T/a"},
    ],
)
def test_another_request_is_another_claim(changed: dict[str, Any]) -> None:
    assert claimed(**changed).digest != claimed().digest
    assert claimed().digest == claimed(key="other", rights="other", id="usr_2").digest


def test_a_claim_says_whose_it_is_and_with_which_rights() -> None:
    one = claimed(key="k", rights="r", id="u")
    assert (one.principal_id, one.key, one.rights) == ("u", "k", "r")


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 129, "\x7f", "\t"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(InvalidArgument):
        idempotency.claim_of(key, "usr_1", "", [])
    assert idempotency.claim_of("a" * 128, "usr_1", "", []).key == "a" * 128


def test_a_key_is_taken_once_by_each_principal(connection: Connection) -> None:
    idempotency.take(connection, CLAIM, None)
    savepoint = connection.begin_nested()
    with pytest.raises(Conflict):
        idempotency.take(connection, CLAIM, None)
    savepoint.rollback()
    for other in (Claim("usr_2", "key", "other", "-"), Claim("usr_1", "another", "other", "-")):
        assert idempotency.earlier(connection, other) is None
        idempotency.take(connection, other, None)
    idempotency.update(connection, CLAIM, status=201, body=b"mine")
    found = idempotency.earlier(connection, CLAIM)
    assert found is not None
    assert (found.status, found.body, found.rights) == (201, b"mine", "rights")
    rest = connection.execute(sa.select(IDEMPOTENCY.c.status).where(IDEMPOTENCY.c.digest == "other"))
    assert rest.scalars().all() == [None, None]


def test_a_key_stands_for_the_request_it_came_with(connection: Connection) -> None:
    idempotency.take(connection, CLAIM, "op_1")
    with pytest.raises(IdempotencyKeyReused):
        idempotency.earlier(connection, Claim("usr_1", "key", "another digest", "rights"))
    again = idempotency.earlier(connection, Claim("usr_1", "key", "digest", "other rights"))
    assert again is not None
    assert (again.operation, again.rights) == ("op_1", "rights")


def test_a_key_is_free_again_after_a_day_and_not_before(connection: Connection) -> None:
    idempotency.take(connection, CLAIM, None)
    other = Claim("usr_1", "key", "another digest", "rights")
    with later(seconds=RETENTION.total_seconds() - 60), pytest.raises(IdempotencyKeyReused):
        idempotency.earlier(connection, other)
    with later(seconds=RETENTION.total_seconds() + 60):
        assert idempotency.earlier(connection, other) is None
        assert idempotency.earlier(connection, CLAIM) is None
        idempotency.take(connection, Claim("usr_2", "key", "-", "-"), None)
        idempotency.take(connection, other, "op_2")
        found = idempotency.earlier(connection, other)
    assert found is not None
    assert found.operation == "op_2"


def test_a_key_that_has_just_been_taken_is_not_freed_by_the_next(connection: Connection) -> None:
    idempotency.take(connection, CLAIM, None)
    with later(seconds=RETENTION.total_seconds() - 60):
        savepoint = connection.begin_nested()
        with pytest.raises(Conflict):
            idempotency.take(connection, CLAIM, None)
        savepoint.rollback()


def test_old_keys_are_forgotten_and_those_of_what_never_started(connection: Connection) -> None:
    idempotency.take(connection, CLAIM, "op_1")
    with later(hours=2):
        idempotency.take(connection, Claim("usr_1", "later", "-", "-"), "op_2")
    with later(seconds=RETENTION.total_seconds() + timedelta(hours=1).total_seconds()):
        idempotency.purge(connection)
    assert keys(connection) == ["later"]
    idempotency.release(connection, "op_1")
    assert keys(connection) == ["later"]
    idempotency.release(connection, "op_2")
    assert keys(connection) == []
