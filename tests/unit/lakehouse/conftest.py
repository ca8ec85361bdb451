"""A lakehouse in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db import Database
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.databases import with_tables
from tests.foreign_tables.hand_written import NAME


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = with_tables(f"sqlite:///{tmp_path / 'metadata.db'}")
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """The metadata database on both of its engines."""
    sqlite = f"sqlite:///{tmp_path / 'any.db'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    database = with_tables(url)
    yield database
    database.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folder of the tables."""
    return tmp_path / "lakehouse"


@pytest.fixture
def place(root: Path) -> Path:
    """Where a table of another writer lies."""
    return root.joinpath(*NAME.split("."))


@pytest.fixture
def tables(root: Path, database: Database) -> Tables:
    return Tables(str(root), database)


@pytest.fixture
def lineage(database: Database) -> Lineage:
    return Lineage(database)
