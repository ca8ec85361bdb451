"""Fixtures of every suite."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from httpx._transports import default
from hypothesis import settings

from api.kernel.credentials import passwords
from tests.cost import Meter
from tests.cpu_time import SERVERS
from tests.databases import compiled_statements, new_database
from tests.exhaustive import MARK, is_exhaustive

# Nothing under test may talk to the outside, and no variable of the developer's shell may leak in.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
for name in [name for name in os.environ if name.startswith("HEADWATER_") and name != "HEADWATER_TORCH_PYTHON"]:
    del os.environ[name]

# How long an example takes is the machine's affair: time is measured in tests/bench, never asserted.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# To load the certificates of all authorities takes 20 ms for each client.
default.create_ssl_context = cache(default.create_ssl_context)

# A busy machine may answer later than within the five seconds that a client without its own timeout waits.
for part in ("connect", "read", "write", "pool"):
    setattr(httpx.Client.__init__.__kwdefaults__["timeout"], part, 60.0)

# Passwords under test protect nothing. What a real one costs to guess is in tests/unit/api/test_passwords.py.
passwords.TIME_COST, passwords.MEMORY_KIB = 1, 8

TESTS = Path(__file__).parent
LONGEST = ("reliability", "protocols", "fuzz", "conformance")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cost", metavar="FILE", help="print what the run cost, suite by suite, and write it here")
    parser.addoption("--grown", action="store_true", help="run over the made-up services of tests/grown, too")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.one_process import OneProcess

    return OneProcess(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("cost"):
        config.pluginmanager.register(Meter(), "meter")
    if config.getoption("grown"):
        from tests.grown.services import install

        install(Path(tempfile.mkdtemp(prefix="headwater-grown-")))


def pytest_collection_finish() -> None:
    """What is imported and collected lives as long as the run: no collection of garbage needs to look at it again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest suites come first, so that no worker is left alone with one at the end. Marks exhaustive tests."""
    suites = {item.path: item.path.relative_to(TESTS).parts[0] for item in items}
    rank = {path: LONGEST.index(suite) if suite in LONGEST else len(LONGEST) for path, suite in suites.items()}
    items.sort(key=lambda item: rank[item.path])
    files = {path: path.relative_to(TESTS.parent).as_posix() for path in suites}
    for item in items:
        if is_exhaustive(files[item.path]):
            item.add_marker(MARK)


@sa.event.listens_for(sa.Engine, "engine_connect")
def _without_waiting_for_the_disk(connection: sa.Connection) -> None:
    """Processes are killed under test, but never the machine: what they wrote to a file is in it."""
    if connection.dialect.name == "sqlite":
        connection.connection.dbapi_connection.execute("PRAGMA synchronous=OFF")  # type: ignore[union-attr]


@sa.event.listens_for(sa.Engine, "engine_connect")
def _with_shared_statements(connection: sa.Connection) -> None:
    """To compile every statement again for the engine of each test would cost a fifth of the API tests."""
    connection.execution_options(compiled_cache=compiled_statements(connection.dialect))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh HEADWATER_HOME that the settings of this process use."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HEADWATER_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of the session (its binaries come as a wheel); yields its SQLAlchemy URL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import pgserver  # asks for the folder when it is imported

    # Not in pytest's folder: every pytest that starts closes that to the user under whom root's server runs.
    with tempfile.TemporaryDirectory(prefix="headwater-postgresql-") as folder:
        server = pgserver.get_server(folder)
        SERVERS.add(server.get_pid())
        # Processes are killed here, but never the machine: the kernel keeps what they wrote without waiting for a disk.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture
def postgresql_url(postgresql: str) -> Iterator[str]:
    """An empty PostgreSQL database of one test."""
    with new_database(postgresql) as url:
        yield url


@pytest.fixture(scope="session")
def _platform_database(postgresql: str) -> Iterator[str]:
    with new_database(postgresql) as url:
        yield url


@pytest.fixture
def platform_postgresql_url(_platform_database: str) -> str:
    """A PostgreSQL database for `tests.api_process.prepare`, which empties it: one for all tests, in turns."""
    return _platform_database
