"""Judges a definition before it is published, in a process of its own: `python -m dagster_project.validate`.

Reads `{"candidate": id, "rows": [{"asset_id", "component", "attributes"}, ...]}` from standard input, the candidate
among the rows that are live, and prints `{"errors": [{"pointer", "detail"}, ...], "assets": [id, ...], "reads":
[id, ...]}`: what is wrong with the candidate, the assets it would make and those it would read. No errors means that it
can be published and harms nothing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from dagster_project.errands import run


def validate(request: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict on a request as above."""
    from assets.examination import examine
    from assets.rows import Row, assets_of, build, reads_of
    from dagster_project.surroundings import location_of_published

    # Last comes who gives way: of two definitions that cannot both be, the live one stays.
    rows = sorted((Row(**row) for row in request["rows"]), key=lambda row: row.asset_id == request["candidate"])
    *_, candidate = examine(rows, location_of_published, code_assets())
    if candidate.error:
        general = [{"pointer": "/attributes", "detail": candidate.error}]
        return {"errors": [dict(fault) for fault in candidate.faults] or general, "assets": [], "reads": []}
    built = build(candidate)
    made = assets_of(built)
    return {"errors": [], "assets": made, "reads": sorted(reads_of(built) - set(made))}


def code_assets() -> dict[str, set[str]]:
    """Every asset that the repository's code makes, with what it is made from; ids of assets."""
    from core.ids import asset_id
    from dagster_project.instance import LOCATION_MODULES, PUBLISHED_LOCATION
    from dagster_project.zygote.locations import resolve

    found = {}
    for name, module in LOCATION_MODULES.items():
        if name == PUBLISHED_LOCATION:
            continue
        try:
            graph = resolve(importlib.import_module(module)).asset_graph
        except Exception as error:  # noqa: BLE001 - broken code is reported by its own location, and blocks no other
            print(f"{module} does not load, so its assets are not compared: {error}", file=sys.stderr)
            continue
        for key in graph.materializable_asset_keys:
            found[asset_id(key.path)] = {asset_id(parent.path) for parent in graph.get(key).parent_keys}
    return found


if __name__ == "__main__":
    run("validate")
