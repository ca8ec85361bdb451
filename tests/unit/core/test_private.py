"""Fault kind: the umask, instead of the platform, decides who can read a file of the platform."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.db import Database
from core.private import restrict_all
from tests.ports import free_ports

START = """
import subprocess, sys
from pathlib import Path
from api.cli.platform import _prepare
from core.settings import load_settings

settings = load_settings()
_prepare(settings)
# Files that a program of the platform creates, directly or through a child process.
(settings.home / "lakehouse" / "new").mkdir(parents=True)
subprocess.run([sys.executable, "-c", "open('late.log', 'w').write('x')"], cwd=settings.logs_dir, check=True)
"""


def modes(home: Path) -> dict[str, str]:
    """Returns the files below a folder that other users can access, with their modes."""
    paths = [home, *home.rglob("*")]
    return {str(path): oct(mode) for path in paths if (mode := stat.S_IMODE(path.lstat().st_mode)) & 0o077}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o002])
def test_a_start_restricts_new_and_existing_files_to_the_owner(tmp_path: Path, umask: int) -> None:
    home = tmp_path / "home"
    for folder in ("keys", "logs", "dagster/storage/deep", "lakehouse/table/_delta_log", "vectors"):
        (home / folder).mkdir(parents=True)
        (home / folder / "old").write_text("secret")
        (home / folder / "old").chmod(0o666)
    database = Database(f"sqlite:///{home / 'metadata.db'}")
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE kept (id INTEGER)"))
        connection.execute(sa.text("DROP TABLE kept"))
    database.close()
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    variables = {"HEADWATER_HOME": str(home), "HEADWATER_PORT": str(free_ports(5)), "HEADWATER_SAMPLE": "false"}
    environment = os.environ | variables | {"PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", START], env=environment, check=True, umask=umask, capture_output=True)
    assert (home / "metadata.db").exists()
    assert (home / "logs" / "late.log").exists()
    assert (home / "dagster" / "dagster.yaml").exists()
    assert modes(home) == {}


@pytest.mark.parametrize("existing", [None, 0o644, 0o666])
def test_the_database_and_its_wal_files_are_private(tmp_path: Path, existing: int | None) -> None:
    path = tmp_path / "metadata.db"
    if existing is not None:
        path.touch()
        path.chmod(existing)
    before = os.umask(0)
    try:
        database = Database(f"sqlite:///{path}")
        with database.write() as connection:
            connection.execute(sa.text("CREATE TABLE kept (id INTEGER)"))
            file_modes = {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in tmp_path.iterdir()}
        database.close()
    finally:
        os.umask(before)
    assert file_modes == dict.fromkeys(("metadata.db", "metadata.db-wal", "metadata.db-shm"), "0o600")


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "folder" / "file").touch()
    for path in (outside, outside / "folder"):
        path.chmod(0o755)
    (outside / "folder" / "file").chmod(0o644)
    home = tmp_path / "home"
    home.mkdir()
    (home / "folder").symlink_to(outside / "folder")
    (home / "file").symlink_to(outside / "folder" / "file")
    restrict_all(home)
    assert len(modes(outside)) == 3
