"""Edges that completed runs of other systems make in the lineage graph."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.permissions.graph import ItemNode
from api.services.ai_catalog.logic.lineage_claims import FindingCode, finding
from api.services.ai_catalog.logic.lineage_rows import Row

if TYPE_CHECKING:
    from lakehouse.lineage import Edge

UNVERSIONED = "unversioned"
"""The version of an external dataset whose events name none."""

_MAX_EDGES = 10_000
_MAX_VERSION = 128


@dataclass(frozen=True, slots=True)
class RunUse:
    """An input or output of a run."""

    direction: str
    dataset: Row
    use: Row


@dataclass(frozen=True, slots=True)
class _Node:
    id: str
    version: str


def record_edges(unit: Unit, project: str, run: Row, job: Row, uses: Sequence[RunUse]) -> list[Row]:
    """Records the edges from the inputs of a completed run to its outputs. Returns the findings.

    Edges that are recorded already do not change. An asset without a version that its table has makes no edge.
    """
    from lakehouse.lineage import Lineage

    findings = [
        finding(FindingCode.NO_VERSION, use.dataset["namespace"], use.dataset["name"], asset=asset, detail=detail)
        for use in uses
        if (asset := use.dataset["asset"]) and use.use["version"] is None and "version" not in use.use["facets"]
        for detail in [f"The run names no version of {asset}. Send the facet `version` (DatasetVersionDatasetFacet)."]
    ]
    known = [(use, node) for use in uses if (node := _node(project, use)) is not None]
    inputs = [(use, node) for use, node in known if use.direction == "INPUT"]
    outputs = [(use, node) for use, node in known if use.direction == "OUTPUT"]
    if len(inputs) * len(outputs) > _MAX_EDGES:
        detail = f"{len(inputs):,} inputs and {len(outputs):,} outputs make more than {_MAX_EDGES:,} edges."
        return [*findings, finding(FindingCode.TOO_MANY_EDGES, job["namespace"], job["name"], detail=detail)]
    edges = [edge for output in outputs for edge in _edges(unit, run, job, output, inputs)]
    if edges:
        Lineage.record_in(unit.connection, edges)
    return findings


def _edges(
    unit: Unit, run: Row, job: Row, output: tuple[RunUse, _Node], inputs: Sequence[tuple[RunUse, _Node]]
) -> Iterator[Edge]:
    use, out = output
    columns = _columns(use.use["facets"])
    existing = _existing_inputs(unit, out) if out.version == UNVERSIONED else set()
    previous = _Node(out.id, use.use["previous"]) if use.use["previous"] else None
    for source, node in inputs:
        # Runs that name no version would add an edge each time between the same two nodes.
        if node != out and node not in existing:
            read = columns.get((source.dataset["namespace"], source.dataset["name"]), ())
            yield _edge(unit, run, job, out, node, tuple(sorted(read)))
    if inputs and previous is not None and all(node != previous for _, node in inputs):
        yield _edge(unit, run, job, out, previous, ())


def _edge(unit: Unit, run: Row, job: Row, out: _Node, source: _Node, columns: tuple[str, ...]) -> Edge:
    from lakehouse.lineage import Edge

    code = _facet(job["facets"], "sourceCodeLocation")
    version = str(code.get("version") or "")
    engine = _facet(run["facets"], "processing_engine")
    return Edge(
        run=f"openlineage:{run['run_id']}",
        step=f"{job['namespace']}/{job['name']}"[:200],
        out_asset=out.id,
        out_version=out.version,
        in_asset=source.id,
        in_version=source.version,
        in_columns=columns,
        code_version=version[:128],
        git_sha=version[:64] if code.get("type") == "git" else "",
        env_digest="",
        engine=f"{engine.get('name') or 'openlineage'} {engine.get('version') or ''}".strip()[:64],
        params_digest="",
        principal=unit.principal.name,
        at=run["ended_at"] or run["state_at"],
    )


def _node(project: str, use: RunUse) -> _Node | None:
    """Returns the node of the graph, or None for an asset whose version is not known."""
    version = use.use["version"]
    if asset := use.dataset["asset"]:
        return _Node(asset, version) if version else None
    return _Node(str(ItemNode("external", project, use.dataset["id"])), external_version(version))


def external_version(version: str | None) -> str:
    """Returns the version of an external dataset in the graph. `@` has a meaning there, so it is written as `%40`."""
    text = (version or UNVERSIONED).replace("@", "%40")
    return text if len(text) <= _MAX_VERSION else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _columns(facets: Mapping[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Returns the columns of each input that the column lineage of an output names."""
    lineage = _facet(facets, "columnLineage")
    fields = lineage.get("fields")
    found: dict[tuple[str, str], set[str]] = {}
    per_field = [_list(_dict(field), "inputFields") for field in (fields if isinstance(fields, dict) else {}).values()]
    for document in (one for some in (*per_field, _list(lineage, "dataset")) for one in some):
        names = [_dict(document).get(name) for name in ("namespace", "name", "field")]
        if all(isinstance(name, str) for name in names):
            found.setdefault((str(names[0]), str(names[1])), set()).add(str(names[2]))
    return found


def _existing_inputs(unit: Unit, out: _Node) -> set[_Node]:
    from lakehouse.lineage import LINEAGE_EDGE

    edge = LINEAGE_EDGE.c
    query = sa.select(edge.in_asset, edge.in_version).where(edge.out_asset == out.id, edge.out_version == out.version)
    return {_Node(row.in_asset, row.in_version) for row in unit.connection.execute(query)}


def _facet(facets: Mapping[str, Any], name: str) -> dict[str, Any]:
    return _dict(facets.get(name))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []
