"""The live versions of the published definitions, as the subprocess job `python -m dagster_project.state`.

It reads one request from standard input and prints the answer:

- `{"do": "show"}` returns the latest versions: `{"versions": {key: version}}`.
- `{"do": "write", "project": name}` stores the live rows of a project as its latest version: `{"version": version}`.
- `{"do": "set", "key": key, "version": version or null}` makes an earlier version the latest: `{}`.
- `{"do": "load"}` makes the running code server build its assets from the latest versions: `{}`. If it cannot, it keeps
  its assets: `{"error": text}`.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster_project.subprocess_jobs import main


def state(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the answer to a request."""
    import dagster as dg

    from core.settings import load_settings
    from dagster_project.internals import DefsStateInfo, load_state

    with dg.DagsterInstance.get() as instance:
        storage = instance.defs_state_storage
        assert storage is not None
        match request["do"]:
            case "show":
                info = storage.get_latest_defs_state_info()
                entries = info.info_mapping if info else {}
                return {"versions": {key: entry.version for key, entry in entries.items() if entry}}
            case "write":
                return {"version": _write(storage, request["project"])}
            case "set":
                storage.set_latest_version(request["key"], request["version"])
                return {}
            case "load":
                latest = storage.get_latest_defs_state_info() or DefsStateInfo.empty()
                error = load_state(load_settings().published_code_server_port, latest)
                return {"error": error} if error else {}
    raise ValueError(f"unknown request {request['do']!r}")


def _write(storage: Any, project: str) -> str:
    from core.definitions import PROJECTS_KEY, state_key
    from dagster_project.internals import set_defs_state_storage
    from dagster_project.projects.instances import published_assets

    is_new = storage.get_latest_version(state_key(project)) is None
    with set_defs_state_storage(storage):
        version = asyncio.run(published_assets(project).refresh_state(Path(__file__).parents[1]))
    if is_new:
        with tempfile.NamedTemporaryFile("w") as content:
            content.write(project)
            content.flush()
            storage.upload_state_from_path(PROJECTS_KEY, str(uuid.uuid4()), Path(content.name))
    return version


if __name__ == "__main__":
    main("state")
