"""The code locations a zygote holds: loading them, and knowing when what it holds is no longer what is on disk."""

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
"""The name under which every location's module holds its definitions."""

_ASSET_JOB = "__ASSET_JOB"
_SUFFIXES = {".py", ".yaml", ".yml", ".sql", ".json"}


@dataclass(frozen=True)
class State:
    """The state of state-backed components: which version of each key is the latest, and its content."""

    info: DefsStateInfo = field(default_factory=DefsStateInfo.empty)
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, str]:
        """The version of each key that has one."""
        return {key: entry.version for key, entry in self.info.info_mapping.items() if entry}

    @classmethod
    def read(cls, instance: dg.DagsterInstance) -> State:
        """Reads the latest versions. Opens connections: never call it in the zygote itself."""
        storage = instance.defs_state_storage
        info = storage.get_latest_defs_state_info() if storage else None
        if storage is None or info is None:
            return cls()
        contents = {}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state"
            for key, entry in info.info_mapping.items():
                if entry is not None:
                    # A lost content is reported by the location when it loads, where there is a log to read.
                    with contextlib.suppress(OSError, ValueError):
                        storage.download_state_to_path(key, entry.version, path)
                        contents[key] = path.read_bytes()
        return cls(info, contents)


class _HeldState(DefsStateStorage):
    """Serves a state that is already in memory, so that loading definitions opens nothing."""

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
    """One code location. `error` says why runs of it must start the cold way."""

    name: str
    module: str
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the states its definitions were built from."""
    error: str = ""

    def load(self, state: State) -> None:
        """Imports and resolves every definition, so that a fork finds them ready. Never raises."""
        sys.modules.pop(self.module, None)
        try:
            with set_defs_state_storage(_HeldState(state)):
                loaded = RepositoryLoadData(defs_state_info=state.info, code_location_name=self.name)
                DefinitionsLoadContext.set(DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION, loaded))
                module = importlib.import_module(self.module)
                repository = resolve(module)
            # A run asks the module for its definitions: it shall get the resolved ones.
            setattr(module, ATTRIBUTE, repository)
            used = _state_keys(repository)
            self.versions = {key: version for key, version in state.versions.items() if self._uses(key, used)}
            _stop_library_threads()
            self.error = unsafe_to_fork(f"importing {self.module}")
        except Exception as error:  # noqa: BLE001 - any fault of user code; the cold way will show it in full
            traceback.print_exc()
            self.error = f"{self.module} does not load: {type(error).__name__}: {error}"

    def outdated(self, state: State) -> bool:
        """Whether the definitions would be others if they were built of this state."""
        return self.versions != {key: v for key, v in state.versions.items() if self._uses(key, self.versions)}

    def _uses(self, key: str, known: Collection[str]) -> bool:
        # Projects of published definitions come and go; what other components use is known once they are loaded.
        return key in known or (self.name == PUBLISHED_LOCATION and key.startswith(STATE_PREFIX))

    def unload(self) -> None:
        """Forgets the definitions, so that the run about to start builds them from its own state version."""
        sys.modules.pop(self.module, None)


def resolve(module: ModuleType) -> RepositoryDefinition:
    """The definitions of a location's module, every one of them built."""
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
    """Linear algebra libraries stop their threads before every fork and start them again when needed: let them."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)


def unsafe_to_fork(after: str) -> str:
    """Why this process must not be forked, or an empty string.

    A lock held by another thread would stay locked in the child for ever, and a database connection would be shared.
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
            return False  # a listening socket: the zygote's own
        return copy.family != socket.AF_UNIX


@dataclass(frozen=True)
class Sources:
    """The files that definitions were loaded from, and folders in which a new file would be one more definition."""

    files: frozenset[str]
    folders: frozenset[Path]
    stamps: Mapping[str, tuple[int, int, int]]
    """Time of change, size and inode of each file."""

    @classmethod
    def of(cls, modules: Collection[str], *, broken: bool) -> Sources:
        """Finds every loaded module that lives next to `modules`, and the definition folders of their packages.

        While a location is broken everything next to them counts: the file at fault may not have got as far as being
        loaded.
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

    def again(self) -> Sources:
        """The same files and folders as they are now."""
        return self._stamped(self.files, self.folders)

    def changed_since(self, instant_ns: int) -> bool:
        """Whether a file changed after an instant, up to now; times in the future are somebody's wrong clock."""
        now = time.time_ns()
        return any(instant_ns < changed <= now for changed, _, _ in self.stamps.values())

    @classmethod
    def _stamped(cls, files: frozenset[str], folders: frozenset[Path]) -> Sources:
        found = {str(path) for folder in folders for path in folder.rglob("*") if path.suffix in _SUFFIXES}
        return cls(files, folders, {path: _stamp(path) for path in files | found})


@cache
def _root(package: str) -> Path:
    """The folder that a top-level module or package is imported from."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    origin = Path(spec.origin)
    return origin.parent.parent if origin.name == "__init__.py" else origin.parent


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - two hundred of these per second
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
