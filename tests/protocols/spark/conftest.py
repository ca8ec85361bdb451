"""Fixtures: one Spark server per engine, shared by all tests of a process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lakehouse.lineage
import lakehouse.pins  # noqa: F401 - registers its table
from core.db import Database
from core.settings import Settings, load_settings
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from resources.spark.resource import Spark
from resources.spark.server import stop
from tests.databases import with_tables
from tests.ports import free_ports

ENGINES = ("embedded", "local")
SHORT_LIVED_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Options of a JVM that ends before the optimizing compiler pays off. That compiler takes half of the CPU time."""

ENVIRONMENTS: dict[str, dict[str, str]] = {}
"""The settings of the platform with each engine whose server runs."""


def path_without_java(folder: Path) -> str:
    """A PATH without Java, so that the suite always runs on the Java from the wheel."""
    places = []
    for number, place in enumerate(os.environ["PATH"].split(os.pathsep)):
        if not shutil.which("java", path=place):
            places.append(place)
            continue
        stand_in = folder / str(number)
        stand_in.mkdir()
        for command in Path(place).iterdir():
            if command.name != "java":
                (stand_in / command.name).symlink_to(command)
        places.append(str(stand_in))
    return os.pathsep.join(places)


@pytest.fixture(scope="session")
def environment_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, str]]:
    """Returns the settings of the platform with an engine. Its server runs until the last test of this folder."""

    def environment_of(engine: str) -> dict[str, str]:
        if engine not in ENVIRONMENTS:
            ENVIRONMENTS[engine] = {
                "HEADWATER_HOME": str(tmp_path_factory.mktemp(f"spark_{engine}")),
                "HEADWATER_SPARK": engine,
                "HEADWATER_PORT": str(free_ports(5)),
                "PATH": path_without_java(tmp_path_factory.mktemp("path")),
                "JDK_JAVA_OPTIONS": SHORT_LIVED_JVM,
            }
        return ENVIRONMENTS[engine]

    return environment_of


def stop_servers() -> None:
    """Stops the servers that run."""
    while ENVIRONMENTS:
        stop(load_settings(ENVIRONMENTS.popitem()[1]))


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """A server that no test uses takes time from the tests of other folders."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        stop_servers()


@pytest.fixture(scope="module", params=ENGINES)
def platform(request: pytest.FixtureRequest, environment_of: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """Settings of a platform with one engine."""
    return environment_of(request.param)


@pytest.fixture
def settings(platform: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in platform.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return load_settings()


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = with_tables(settings.effective_database_url)
    yield database
    database.close()


@pytest.fixture
def tables(settings: Settings, database: Database) -> Tables:
    return Tables.from_settings(settings, database)


@pytest.fixture
def lineage(database: Database) -> Lineage:
    return Lineage(database)


@pytest.fixture
def spark(settings: Settings) -> Iterator[Spark]:
    spark = Spark()
    yield spark
    spark.close()


@pytest.fixture
def step_of(tables: Tables, lineage: Lineage) -> Callable[[str], Step]:
    def make(asset: str) -> Step:
        return Step(
            tables, lineage, asset=asset, run="run_1", step="s", code_version="c1", engine="spark", principal="ada"
        )

    return make
