"""Protects the platform's files from other users of the machine, independent of the umask."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077


def make_private(home: Path) -> None:
    """Restricts the home folder, and every file that this process and its children will create, to the owner."""
    os.umask(_OTHERS)
    home.mkdir(parents=True, exist_ok=True)
    _restrict(home)


def restrict_all(home: Path) -> None:
    """Removes other users' access to everything below the home folder. Doesn't follow links.

    Doesn't descend into folders that are already restricted, because other users can't reach anything in them.
    """
    folders = [home]
    while folders:
        with suppress(FileNotFoundError, PermissionError), os.scandir(folders.pop()) as entries:
            restricted = [entry for entry in entries if _restrict(Path(entry.path))]
            folders += [Path(entry.path) for entry in restricted if entry.is_dir(follow_symlinks=False)]


def private_file(path: Path) -> None:
    """Creates an empty file that only the owner can read, or restricts an existing file to its owner."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    _restrict(path)


def _restrict(path: Path) -> bool:
    """Removes other users' access; returns whether they had access before."""
    # Other processes create and delete files concurrently, and some files may belong to other users.
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & _OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
            return True
    return False
