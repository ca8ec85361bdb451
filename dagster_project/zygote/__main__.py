"""The program of the zygote."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import socket
import sys
import time

from core.settings import load_settings
from dagster_project.instance import LOCATION_MODULES

# The allocators of Arrow and Delta start a thread when they are loaded, unless these variables are set.
_ALLOCATOR_OPTIONS = dict.fromkeys(
    ("MALLOC_CONF", "_RJEM_MALLOC_CONF", "JE_ARROW_MALLOC_CONF"), "background_thread:false"
)
_PRELOADED = ("numpy", "pyarrow", "pyarrow.dataset", "pyarrow.compute", "deltalake", "duckdb", "psutil", "sqlalchemy")
"""Libraries that most runs import and that start no threads. Polars starts threads, so runs import it."""


def main(arguments: list[str]) -> None:
    """Loads the locations, opens the socket, and serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m dagster_project.zygote", description=__doc__)
    parser.add_argument("locations", nargs="*", metavar="NAME=MODULE", help="default: the platform's locations")
    parser.add_argument("--inherit", default="{}", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    _preload()

    # These modules import Dagster, which must be imported after the preloaded libraries.
    from dagster_project.internals import InstanceRef
    from dagster_project.zygote import wire
    from dagster_project.zygote.locations import Location
    from dagster_project.zygote.rehearsal import rehearse
    from dagster_project.zygote.server import Zygote

    settings = load_settings()
    inherited = json.loads(options.inherit)
    modules = dict(item.split("=", 1) for item in options.locations) or LOCATION_MODULES
    ref = InstanceRef.from_dir(str(settings.dagster_home))
    zygote = Zygote(
        run_dir=settings.run_dir,
        ref=ref,
        locations={name: Location(name, module) for name, module in modules.items()},
        workers={int(pid): run_id for pid, run_id in inherited.get("workers", {}).items()},
    )
    rehearse(settings)
    zygote.load()
    descriptor = inherited.get("listener")
    zygote.listener = wire.listen(settings.run_dir) if descriptor is None else socket.socket(fileno=descriptor)
    print(f"ready after {time.monotonic() - started:.1f} s", flush=True)
    zygote.serve()
    sys.stdout.flush()
    os._exit(0)  # skips the exit handlers of libraries, which have nothing to clean up here and may fail


def _preload() -> None:
    os.environ.update(_ALLOCATOR_OPTIONS)
    for name in _PRELOADED:
        importlib.import_module(name)
    for name in _ALLOCATOR_OPTIONS:
        del os.environ[name]


if __name__ == "__main__":
    main(sys.argv[1:])
