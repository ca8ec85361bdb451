"""Reads and sets which version of the published definitions is live: `python -m dagster_project.state`.

For what GraphQL cannot do: the first version of a project, and the way back when a version does not load. Reads one
request from standard input and prints the answer:

- `{"do": "show"}` gives `{"versions": {key: version}}`,
- `{"do": "write", "project": name}` makes a version of the project's live rows and gives `{"version": version}`,
- `{"do": "set", "key": key, "version": version or null}` makes an earlier version the live one and gives `{}`.

The code location notices after `reloadRepositoryLocation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_project.errands import run


def state(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a request as above."""
    import dagster as dg

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
    raise ValueError(f"unknown request {request['do']!r}")


def _write(storage: Any, project: str) -> str:
    import asyncio
    from pathlib import Path

    from assets.published import PublishedAssets
    from dagster_project.internals import set_defs_state_storage
    from dagster_project.surroundings import location_of_published

    with set_defs_state_storage(storage):
        component = PublishedAssets(project, location_of_published)
        return asyncio.run(component.refresh_state(Path(__file__).parents[1]))


if __name__ == "__main__":
    run("state")
