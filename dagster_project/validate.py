"""Validation of a definition before its publication, as the subprocess job `python -m dagster_project.validate`.

The job reads `{"candidate": id, "rows": [{"asset_id", "component", "attributes", "retired", "assets"}, ...]}` from
standard input and prints an object with these fields. `rows` contains the candidate and all live and retired rows.

- `errors`: faults of the candidate, each `{"pointer", "detail"}`.
- `changes`: schema changes that the next run makes to existing tables, each `{"pointer", "detail", "table", "column",
  "effect"}`.
- `assets`: ids of the assets that the candidate defines.
- `code_versions`: code version by asset that the candidate defines.
- `reads`: ids of the other assets that it reads.
- `unbound`: faults with respect to the assets in `reads`, each `{"pointer", "detail"}`.
- `not_checked`: attributes that were not compared with these assets, each `{"pointer", "reason"}`.

`unbound` and `not_checked` disclose the columns and the retirement of assets, so they are only for callers that may
read all of `reads`. Without `errors` and `unbound`, the definition can be published.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster_project.subprocess_jobs import main

if TYPE_CHECKING:
    from assets.declaration import TableComponent
    from assets.evolution import SchemaChanges
    from assets.findings import Findings
    from assets.rows import Row


def validate(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the answer to a request."""
    from assets.components import component
    from assets.examination import examine
    from assets.rows import Row, assets_of, build, code_versions_of, reads_of
    from dagster_project.shared_definitions import complete_published

    # The candidate is last: of two definitions that conflict, the examination marks the later one.
    rows = sorted((Row(**row) for row in request["rows"]), key=lambda row: row.asset_id == request["candidate"])
    *_, candidate = examine(rows, complete_published, code_assets())
    if candidate.error:
        general = [{"pointer": "/attributes", "detail": candidate.error}]
        errors = [dict(fault) for fault in candidate.faults] or general
        nothing: dict[str, list[str]] = {"changes": [], "assets": [], "reads": [], "unbound": [], "not_checked": []}
        return {"errors": errors, "code_versions": {}, **nothing}
    built = build(candidate)
    assets = assets_of(built)
    reads = sorted(reads_of(built) - set(assets))
    declared = component(candidate.component, candidate.attributes, asset=candidate.asset_id)
    changes, not_compared = _schema_changes(declared)
    findings = _findings(declared)
    return {
        "errors": changes.faults,
        "changes": changes.changes,
        "assets": assets,
        "code_versions": code_versions_of(built),
        "reads": reads,
        "unbound": [*_retired_inputs(reads, rows), *findings.faults],
        "not_checked": [*not_compared, *findings.not_checked],
    }


def _retired_inputs(reads: Sequence[str], rows: Sequence[Row]) -> list[dict[str, str]]:
    """Returns a fault for each input that is retired."""
    retired = {name for row in rows if row.retired for name in row.assets}
    return [
        {"pointer": "/attributes", "detail": f"reads {name}, which is retired; reinstate it, or read another asset"}
        for name in reads
        if name in retired
    ]


def _schema_changes(declared: TableComponent) -> tuple[SchemaChanges, list[dict[str, str]]]:
    """Returns the schema changes of the definition, and the reason if its tables could not be read."""
    from assets.evolution import SchemaChanges, schema_changes
    from resources.delta import Delta

    try:
        return (schema_changes(declared, Delta().tables()) if declared.appended() else SchemaChanges([], [])), []
    except Exception as error:  # noqa: BLE001 - an unavailable store must not prevent a publication
        print(f"{declared.asset} was not compared with its table: {error}", file=sys.stderr)
        reason = f"It was not compared with the table {declared.asset}: {_public_detail(error)}"
        return SchemaChanges([], []), [{"pointer": "/attributes", "reason": reason}]


def _findings(declared: TableComponent) -> Findings:
    """Returns the findings about the definition. A lakehouse that cannot be read is not a fault of the definition."""
    from assets.binding import findings_of
    from assets.findings import Findings
    from resources.delta import Delta

    tables = Delta().tables()
    try:
        return findings_of(declared, tables)
    except Exception as error:  # noqa: BLE001 - an unavailable store or engine must not prevent a publication
        print(f"{declared.asset} was not compared with the tables that exist: {error}", file=sys.stderr)
        findings = Findings(tables)
        findings.unknown("/attributes", f"It was not compared with the tables that exist: {_public_detail(error)}")
        return findings


def _public_detail(error: Exception) -> str:
    """Returns the detail of an error of the platform, or only the type of another error, which may contain secrets."""
    from core.errors import HeadwaterError

    return error.detail if isinstance(error, HeadwaterError) else f"{type(error).__name__}, see the log."


def code_assets() -> dict[str, set[str]]:
    """Returns the ids of the inputs of every asset that the code of the repository defines, by asset id."""
    from core.ids import asset_id
    from dagster_project.instance import LOCATION_MODULES, PUBLISHED_LOCATION
    from dagster_project.zygote.locations import resolve

    inputs = {}
    for name, module in LOCATION_MODULES.items():
        if name == PUBLISHED_LOCATION:
            continue
        try:
            graph = resolve(importlib.import_module(module)).asset_graph
        except Exception as error:  # noqa: BLE001 - the location of broken code reports it and affects no other
            print(f"{module} does not load, so its assets are not compared: {error}", file=sys.stderr)
            continue
        for key in graph.materializable_asset_keys:
            inputs[asset_id(key.path)] = {asset_id(parent.path) for parent in graph.get(key).parent_keys}
    return inputs


if __name__ == "__main__":
    main("validate")
