"""Migrations make exactly the tables the code declares, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from api.kernel.credentials import tokens
from api.kernel.kinds.registry import Registry
from api.kernel.outbox.tables import WEBHOOK_ENDPOINT
from api.kernel.permissions import grants
from api.kernel.securable import ROOT as ROOT_SECURABLE
from api.kernel.tables import RESOURCE
from api.main import SERVICES
from api.services.admin.logic.bootstrap import bootstrap
from core import clock, events
from core.db import Database
from migrations.tables import METADATA

PERMISSIONS = Registry(SERVICES).permissions
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'metadata.db'}"
    else:
        yield request.getfixturevalue("postgresql_url")


def configuration(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["url"] = url
    return config


def test_the_migrated_database_is_the_declared_one(url: str) -> None:
    command.upgrade(configuration(url), "head")
    database = Database(url)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    database.close()


def test_every_migration_can_be_taken_back(url: str) -> None:
    command.upgrade(configuration(url), "head")
    command.downgrade(configuration(url), "base")
    command.upgrade(configuration(url), "head")


def test_people_tokens_and_events_of_the_first_tables_are_carried_over(url: str) -> None:
    """Principals can do after it what they could do before, and the audit log is chained from its beginning."""
    command.upgrade(configuration(url), "0001")
    database = Database(url)
    now, later = "2026-11-01 12:00:00+00:00", "2099-01-01 00:00:00+00:00"
    data = '{"b": 1, "a": 2}'
    texts = [
        *(
            "INSERT INTO principal (id, name, role, state, password_hash, created_at, created_by, updated_at) VALUES "
            f"('usr_{name}', '{name}', '{role}', '{state}', NULL, '{now}', 'headwater', '{now}')"
            for name, role, state in (
                ("admin", "ADMIN", "ACTIVE"),
                ("ada", "VIEWER", "ACTIVE"),
                ("eve", "EDITOR", "SUSPENDED"),
            )
        ),
        *(
            "INSERT INTO token (id, principal_id, kind, label, digest, created_at, expires_at) VALUES "
            f"('tok_{name}', 'usr_{name}', 'TOKEN', 'x', '{tokens.digest_of(name)}', '{now}', '{later}')"
            for name in ("admin", "ada", "eve")
        ),
        *(
            "INSERT INTO event (sequence, id, type, subject, principal, request_id, at, data) VALUES "
            f"({number}, 'evt_{number}', 'admin.user.created', 'usr_ada', 'admin', 'req', '{now}', '{data}')"
            for number in (1, 2, 5)
        ),
    ]
    with database.write() as connection:
        for text in texts:
            connection.exec_driver_sql(text)
    command.upgrade(configuration(url), "head")
    with database.read() as connection:
        assert events.verify_chain(connection) is None
        assert events.head(connection)[0] == 3
        assert tokens.authenticating(connection, "eve") is None
        for name, permission, allowed in (
            ("admin", "admin.grant.create", True),
            ("ada", "ai_catalog.asset.get", True),
            ("ada", "admin.grant.create", False),
        ):
            found = tokens.authenticating(connection, name)
            assert found
            assert (
                grants.access_of(connection, found.principal.id, PERMISSIONS).allows(permission, ROOT_SECURABLE)
                is allowed
            )
    assert bootstrap(database) is None, "there is an admin already"
    command.downgrade(configuration(url), "0001")
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT name, role, state FROM principal ORDER BY name").all()
    assert [tuple(row) for row in rows] == [
        ("ada", "VIEWER", "ACTIVE"),
        ("admin", "ADMIN", "ACTIVE"),
        ("eve", "EDITOR", "SUSPENDED"),
    ]
    database.close()


def test_webhook_endpoints_subscribe_to_the_present_event_types(url: str) -> None:
    """An endpoint that names only types of an earlier release would be silent for ever."""
    command.upgrade(configuration(url), "0014")
    database, now = Database(url), clock.now()
    former = {
        "whk_former": ["admin.grant.created", "admin.grant.deleted", "admin.signing_key.rotated"],
        "whk_both": ["admin.user.*", "admin.grant.given", "admin.grant.created"],
        "whk_present": ["*"],
    }
    row = {"kind": "admin.webhook_endpoint", "organization_id": "org_default", "scope_id": "org_default"}
    row |= {"owner": "usr_ada", "state": "ACTIVE", "generation": 1, "version": 1, "labels": {}, "status": {}}
    row |= {"created_at": now, "created_by": "ada", "updated_at": now, "updated_by": "ada"}
    hook = {"organization_id": "org_default", "url": "https://hooks.example.org", "secret": "", "state": "ACTIVE"}
    with database.write() as connection:
        for id, types in former.items():
            spec = {"url": "https://hooks.example.org", "types": types}
            connection.execute(RESOURCE.insert().values(id=id, name=id, spec=spec, **row))
            connection.execute(WEBHOOK_ENDPOINT.insert().values(id=id, types=types, created_at=now, **hook))
    command.upgrade(configuration(url), "head")
    present = {
        "whk_former": ["admin.grant.given", "admin.grant.revoked", "admin.signing_key.activated"],
        "whk_both": ["admin.user.*", "admin.grant.given"],
        "whk_present": ["*"],
    }
    with database.read() as connection:
        stored = connection.execute(sa.select(RESOURCE.c.id, RESOURCE.c.spec)).all()
        delivered = connection.execute(sa.select(WEBHOOK_ENDPOINT.c.id, WEBHOOK_ENDPOINT.c.types)).all()
    assert {id: spec["types"] for id, spec in stored if id in former} == present
    assert dict(map(tuple, delivered)) == present
    database.close()
