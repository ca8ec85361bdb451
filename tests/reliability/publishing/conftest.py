"""Dagster's processes with the sample project and published definitions, once for all files of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

import migrations.tables  # noqa: F401 - declares the tables of all services, which runs read
from tests.dagster_processes import ROOT, DagsterProcesses
from tests.reliability.publishing.desk import INPUT, Desk

MODULES = {"flights": "dagster_project.definitions", "published": "dagster_project.published"}


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk whose input has three rows. Each test has its own assets."""
    platform = DagsterProcesses(tmp_path_factory.mktemp("home"), MODULES, code=ROOT)
    desk = Desk(platform)
    with platform:
        desk.tables.create_with(INPUT, pa.table({"origin": ["A0", "A1", "A2"]}))
        yield desk
    desk.database.close()
