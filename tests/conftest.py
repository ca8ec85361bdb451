"""Fixtures of every suite."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import alone, new_database

# Nothing under test may talk to the outside, and no variable of the developer's shell may leak in.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
for name in [name for name in os.environ if name.startswith("HEADWATER_") and name != "HEADWATER_TORCH_PYTHON"]:
    del os.environ[name]


TESTS = Path(__file__).parent
LONGEST = ("reliability", "protocols", "conformance")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest suites come first, so that no worker is left alone with one at the end."""
    suites = {item.path: item.path.relative_to(TESTS).parts[0] for item in items}
    rank = {path: LONGEST.index(suite) if suite in LONGEST else len(LONGEST) for path, suite in suites.items()}
    items.sort(key=lambda item: rank[item.path])


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
    alone(_platform_database)
    return _platform_database
