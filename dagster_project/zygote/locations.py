"""The code locations of a zygote: loading them, and detecting changes of their source files."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

import dagster as dg

from core.definitions import STATE_PREFIX
from dagster_project.instance import PUBLISHED_LOCATION
from dagster_project.internals import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
    DefsStateInfo,
    DefsStateStorage,
    ModuleCodePointer,
    ReconstructableRepository,
    RepositoryDefinition,
    RepositoryLoadData,
    set_defs_state_storage,
)

ATTRIBUTE = "defs"
"""Name of the attribute with the definitions in the module of every location."""

_ASSET_JOB = "__ASSET_JOB"
_SUFFIXES = {".py", ".yaml", ".yml", ".sql", ".json"}


@dataclass(frozen=True)
class State:
    """State of state-backed components: the latest version of each key, and its content."""

    info: DefsStateInfo = field(default_factory=DefsStateInfo.empty)
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, str]:
        """Version of each key that has one."""
        return {key: entry.version for key, entry in self.info.info_mapping.items() if entry}

    @classmethod
    def read(cls, instance: dg.DagsterInstance) -> State:
        """Reads the latest versions. It opens connections, so the zygote calls it only in a child."""
        storage = instance.defs_state_storage
        info = storage.get_latest_defs_state_info() if storage else None
        if storage is None or info is None:
            return cls()
        contents = {}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state"
            for key, entry in info.info_mapping.items():
                if entry is not None:
                    # The location reports missing content in its log when it loads.
                    with contextlib.suppress(OSError, ValueError):
                        storage.download_state_to_path(key, entry.version, path)
                        contents[key] = path.read_bytes()
        return cls(info, contents)


class _InMemoryState(DefsStateStorage):
    """State storage in memory, so that loading definitions opens no connection."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get_latest_defs_state_info(self) -> DefsStateInfo:
        return self._state.info

    def download_state_to_path(self, key: str, version: str, path: Path) -> None:
        path.write_bytes(self._state.contents[key])

    def upload_state_from_path(self, key: str, version: str, path: Path) -> None:
        raise NotImplementedError("the zygote never writes state")

    def set_latest_version(self, key: str, version: str | None) -> None:
        raise NotImplementedError("the zygote never writes state")


@dataclass
class Location:
    """A code location. `error` is the reason for which the zygote cannot fork its runs."""

    name: str
    module: str
    versions: dict[str, str] = field(default_factory=dict)
    """State versions from which its definitions were built."""
    error: str = ""

    def load(self, state: State) -> None:
        """Imports and resolves all definitions, so that forked children have them in memory. Never raises."""
        sys.modules.pop(self.module, None)
        try:
            with set_defs_state_storage(_InMemoryState(state)):
                loaded = RepositoryLoadData(defs_state_info=state.info, code_location_name=self.name)
                DefinitionsLoadContext.set(DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION, loaded))
                module = importlib.import_module(self.module)
                repository = resolve(module)
            # A run reads the definitions from the module, and gets the resolved ones.
            setattr(module, ATTRIBUTE, repository)
            used = _state_keys(repository)
            self.versions = {key: version for key, version in state.versions.items() if self._uses(key, used)}
            _stop_library_threads()
            self.error = unsafe_to_fork(f"importing {self.module}")
        except Exception as error:  # noqa: BLE001 - any fault of user code; the default launcher reports it in full
            traceback.print_exc()
            self.error = f"{self.module} does not load: {type(error).__name__}: {error}"

    def outdated(self, state: State) -> bool:
        """Returns whether definitions built from this state would differ."""
        return self.versions != {key: v for key, v in state.versions.items() if self._uses(key, self.versions)}

    def _uses(self, key: str, used: Collection[str]) -> bool:
        # Projects with published definitions change at any time; the keys of other components are fixed when loaded.
        return key in used or (self.name == PUBLISHED_LOCATION and key.startswith(STATE_PREFIX))

    def unload(self) -> None:
        """Unloads the definitions, so that a run builds them from the state version with which it was planned."""
        sys.modules.pop(self.module, None)


def resolve(module: ModuleType) -> RepositoryDefinition:
    """Returns the repository of the module of a location, with all definitions built."""
    pointer = ModuleCodePointer(module.__name__, ATTRIBUTE, str(Path.cwd()))
    repository = ReconstructableRepository(pointer).get_definition()
    repository.load_all_definitions()
    if repository.has_job(_ASSET_JOB):
        repository.get_job(_ASSET_JOB)
    return repository


def _state_keys(repository: RepositoryDefinition) -> set[str]:
    tree: dg.ComponentTree | None = repository.get_component_tree()  # type: ignore[no-untyped-call]
    components = tree.get_all_components(of_type=dg.StateBackedComponent) if tree else []  # type: ignore[type-abstract]
    return {component.defs_state_config.key for component in components}


def _stop_library_threads() -> None:
    # Linear algebra libraries stop their threads before a fork, and restart them when they are needed.
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)


def unsafe_to_fork(after: str) -> str:
    """Returns the reason for which this process must not be forked, or an empty text.

    A lock that another thread holds would stay locked in the child, and a database connection would be shared.

    Args:
        after: the preceding step, for the reason.
    """
    tasks = Path("/proc/self/task")
    threads = len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()
    if threads > 1:
        return f"{after} left {threads - 1} threads running"
    if connections := list(_connections()):
        return f"{after} left connections open: {', '.join(connections)}"
    return ""


def _connections() -> Iterator[str]:
    descriptors = Path("/proc/self/fd")
    for descriptor in descriptors.iterdir() if descriptors.exists() else ():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.endswith((".db", ".db-wal")) or (target.startswith("socket:") and _is_connected(descriptor.name)):
                yield target


def _is_connected(descriptor: str) -> bool:
    with socket.socket(fileno=os.dup(int(descriptor))) as copy:
        try:
            copy.getpeername()
        except OSError:
            return False  # the listening socket of the zygote
        return copy.family != socket.AF_UNIX


@dataclass(frozen=True)
class Sources:
    """Files from which definitions were loaded, and folders in which a new file would add definitions."""

    files: frozenset[str]
    folders: frozenset[Path]
    stamps: Mapping[str, tuple[int, int, int]]
    """Modification time, size, and inode of each file."""

    @classmethod
    def of(cls, modules: Collection[str], *, broken: bool) -> Sources:
        """Returns the files of all loaded modules next to `modules`, and the definition folders of their packages.

        While a location is broken, all files next to them are included, because the faulty file may not be loaded.
        """
        folders_of_packages = {_root(module.partition(".")[0]) for module in modules}
        roots = tuple(f"{folder}{os.sep}" for folder in folders_of_packages)
        installed = f"{os.sep}site-packages{os.sep}"
        loaded = {
            name: path
            for name, module in list(sys.modules.items())
            if (path := getattr(module, "__file__", None)) and path.startswith(roots) and installed not in path
        }
        files = set(loaded.values())
        if broken:
            entries = [entry for root in folders_of_packages for entry in root.iterdir()]
            files.update(str(entry) for entry in entries if entry.suffix == ".py")
            folders = {entry for entry in entries if (entry / "__init__.py").exists()}
        else:
            packages = {name.partition(".")[0] for name in loaded if name != "__main__"}
            folders = {_root(name) / name / "defs" for name in packages}
        return cls._stamped(frozenset(files), frozenset(folders))

    def refreshed(self) -> Sources:
        """Returns the same files and folders with their current state."""
        return self._stamped(self.files, self.folders)

    def changed_since(self, instant_ns: int) -> bool:
        """Returns whether a file changed between an instant and now. Times in the future come from a wrong clock."""
        now = time.time_ns()
        return any(instant_ns < changed <= now for changed, _, _ in self.stamps.values())

    @classmethod
    def _stamped(cls, files: frozenset[str], folders: frozenset[Path]) -> Sources:
        definitions = {str(path) for folder in folders for path in folder.rglob("*") if path.suffix in _SUFFIXES}
        return cls(files, folders, {path: _stamp(path) for path in files | definitions})


@cache
def _root(package: str) -> Path:
    """Returns the folder from which a top-level module or package is imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    origin = Path(spec.origin)
    return origin.parent.parent if origin.name == "__init__.py" else origin.parent


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - called two hundred times per second
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
