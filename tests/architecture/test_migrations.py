"""Migrations make exactly the tables the code declares, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from core.db import Database
from migrations.tables import METADATA

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
