"""The JSON documents of Marquez, from rows of events and from the asset graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from api.protocols.marquez.catalog import Catalog, Row
from api.protocols.marquez.names import OWN, Name
from api.services.ai_catalog.logic.facet_values import run_facets
from api.services.ai_catalog.logic.lineage_edges import external_version
from core.ports import AssetNode

Document = dict[str, Any]
EPOCH = "1970-01-01T00:00:00Z"
"""Time of what has none, because clients expect one."""


def time(moment: datetime | None) -> str | None:
    """Returns a time in the form of Marquez."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def facet(facets: Mapping[str, Any], name: str) -> Document:
    """Returns a facet, or an empty object if there is none."""
    found = facets.get(name)
    return found if isinstance(found, dict) else {}


def items(document: Mapping[str, Any], name: str) -> list[Document]:
    """Returns the objects in a list of a facet."""
    found = document.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def namespace(name: str, created: datetime | None, updated: datetime | None) -> Document:
    """Returns a namespace."""
    times = {"createdAt": time(created) or EPOCH, "updatedAt": time(updated) or EPOCH}
    own = "Assets of the platform." if name == OWN else None
    return {"name": name, **times, "ownerName": "headwater", "description": own, "isHidden": False}


def source(name: Name, facets: Mapping[str, Any], at: datetime | None) -> Document:
    """Returns the source of a dataset: what its facet `dataSource` names, or its namespace."""
    declared = facet(facets, "dataSource")
    title = str(declared.get("name") or name.namespace)
    url = str(declared.get("uri") or name.namespace)
    times = {"createdAt": time(at) or EPOCH, "updatedAt": time(at) or EPOCH}
    return {"type": (url.partition(":")[0] or "UNKNOWN").upper(), "name": title, **times, "connectionUrl": url}


def dataset(name: Name, rows: Sequence[Row], node: AssetNode | None, catalog: Catalog) -> Document:
    """Returns a dataset."""
    facets = catalog.values.of_dataset(rows[0].facets, rows[0].asset) if rows else {}
    state = catalog.view.states.get(name.name) if node else None
    made = state.materialization if state else None
    created = min((row.created_at for row in rows), default=made.at if made else None)
    updated = max([*(row.updated_at for row in rows), *([made.at] if made else [])], default=None)
    written = catalog.written(rows, 1) if rows and not made else []
    current = made.data_version if made else version_of(*written[0]) if written else None
    modified = made.at if made else written[0][0].ended_at if written else None
    described = node.description if node else facet(facets, "documentation").get("description")
    return {
        "id": name.document,
        "type": "DB_TABLE",
        **_identity(name, facets),
        "createdAt": time(created) or EPOCH,
        "updatedAt": time(updated) or EPOCH,
        "fields": fields(facets),
        "tags": tags(facets),
        "lastModifiedAt": time(modified),
        "lastLifecycleState": facet(facets, "lifecycleStateChange").get("lifecycleStateChange"),
        "description": described,
        "currentVersion": current,
        "columnLineage": None,
        "facets": facets,
        "deleted": False,
    }


def dataset_version(
    name: Name, version: str, facets: Mapping[str, Any], at: datetime | None, run: Document | None
) -> Document:
    """Returns a version of a dataset, with the run that wrote it."""
    return {
        "id": {**name.document, "version": version},
        "type": "DB_TABLE",
        **_identity(name, facets),
        "createdAt": time(at),
        "version": version,
        "fields": fields(facets),
        "tags": tags(facets),
        "lifecycleState": facet(facets, "lifecycleStateChange").get("lifecycleStateChange"),
        "description": facet(facets, "documentation").get("description"),
        "createdByRun": run,
        "facets": facets,
    }


def version_of(run: Row, use: Row) -> str:
    """Returns the version that a run wrote: the one that its events name, or else the UUID of the run."""
    return str(external_version(use.version) if use.version else run.run_id)


def fields(facets: Mapping[str, Any]) -> list[Document]:
    """Returns the fields of the facet `schema`."""
    return [
        {
            "name": str(one.get("name", "")),
            "type": one.get("type"),
            "tags": [],
            "description": one.get("description"),
        }
        for one in items(facet(facets, "schema"), "fields")
    ]


def tags(facets: Mapping[str, Any]) -> list[str]:
    """Returns the names of the facet `tags`."""
    return sorted({str(one["key"]) for one in items(facet(facets, "tags"), "tags") if "key" in one})


def job(name: Name, rows: Sequence[Row], catalog: Catalog) -> Document:
    """Returns a job with its inputs, outputs, and latest run."""
    facets = rows[0].facets if rows else {}
    runs = catalog.runs(rows, 1) if rows else []
    latest = run(runs[0], catalog) if runs else None if rows else next(iter(own_runs(name, catalog)), None)
    inputs, outputs = job_datasets(name, rows, catalog)
    node = catalog.assets.get(name.name) if name.namespace == OWN and not rows else None
    described = node.description if node else facet(facets, "documentation").get("description")
    location = facet(facets, "sourceCodeLocation").get("url")
    return {
        "id": name.document,
        "type": str(facet(facets, "jobType").get("processingType") or "BATCH"),
        **name.document,
        "simpleName": name.name,
        "parentJobName": None,
        "createdAt": time(min((row.created_at for row in rows), default=None)) or EPOCH,
        "updatedAt": time(max((row.updated_at for row in rows), default=None)) or EPOCH,
        "inputs": [one.document for one in inputs],
        "outputs": [one.document for one in outputs],
        "location": location,
        "description": described,
        "latestRun": latest,
        "latestRuns": [latest] if latest else [],
        "facets": facets,
        "currentVersion": job_version(name, inputs, outputs, location),
        "labels": [],
        "tags": tags(facets),
    }


def job_datasets(name: Name, rows: Sequence[Row], catalog: Catalog) -> tuple[list[Name], list[Name]]:
    """Returns the inputs and outputs of a job."""
    uses = [(use.direction, catalog.dataset_name(dataset)) for use, dataset in catalog.uses_of_jobs(rows)]
    inputs = {one for direction, one in uses if direction == "INPUT"}
    outputs = {one for direction, one in uses if direction == "OUTPUT"}
    if name.namespace == OWN and (node := catalog.assets.get(name.name)):
        inputs |= {Name(OWN, id) for id in node.upstream}
        outputs.add(name)
    return sorted(inputs), sorted(outputs)


def job_version(name: Name, inputs: Sequence[Name], outputs: Sequence[Name], location: object) -> str:
    """Returns the version of a job, which changes with its inputs, outputs, and location."""
    content = [name.document, [one.document for one in inputs], [one.document for one in outputs], str(location)]
    return str(uuid5(NAMESPACE_URL, json.dumps(content)))


def run(row: Row, catalog: Catalog) -> Document:
    """Returns a run of another system, with the versions that it read and wrote."""
    name = Name(row.job_namespace, row.job_name)
    used = catalog.uses([row.id])
    uses = [(use, catalog.dataset_name(dataset)) for use, dataset in used]
    facets = run_facets(row.facets, closed=bool(catalog.values.closed_runs([row.id])))
    nominal = facet(row.facets, "nominalTime")
    inputs = sorted({one for use, one in uses if use.direction == "INPUT"})
    outputs = sorted({one for use, one in uses if use.direction == "OUTPUT"})
    milliseconds = (row.ended_at - row.started_at).total_seconds() * 1000 if row.started_at and row.ended_at else None
    return {
        "id": row.run_id,
        "createdAt": time(row.created_at),
        "updatedAt": time(row.updated_at),
        "nominalStartTime": nominal.get("nominalStartTime"),
        "nominalEndTime": nominal.get("nominalEndTime"),
        "state": row.state,
        "startedAt": time(row.started_at),
        "endedAt": time(row.ended_at),
        "durationMs": None if milliseconds is None else int(milliseconds),
        "args": {},
        "jobVersion": {**name.document, "version": job_version(name, inputs, outputs, None)},
        "inputDatasetVersions": _versions(row, used, catalog, "INPUT", "inputFacets"),
        "outputDatasetVersions": _versions(row, used, catalog, "OUTPUT", "outputFacets"),
        "facets": facets,
    }


def _versions(run: Row, used: Sequence[tuple[Row, Row]], catalog: Catalog, direction: str, key: str) -> list[Document]:
    return [
        {
            "datasetVersionId": {**catalog.dataset_name(dataset).document, "version": _used(run, use)},
            key: catalog.values.of_dataset(use.facets, dataset.asset),
        }
        for use, dataset in used
        if use.direction == direction
    ]


def _used(run: Row, use: Row) -> str | None:
    return version_of(run, use) if use.direction == "OUTPUT" else use.version


def own_runs(name: Name, catalog: Catalog) -> list[Document]:
    """Returns the runs of the platform that made an asset, newest first, from its recorded edges."""
    from lakehouse.lineage import LINEAGE_EDGE

    if name.namespace != OWN or name.name not in catalog.assets:
        return []
    return _runs_of_edges(catalog.edges(LINEAGE_EDGE.c.out_asset == name.name))


def own_run(run_id: str, catalog: Catalog) -> Document | None:
    """Returns a run of the platform, from its recorded edges."""
    from lakehouse.lineage import LINEAGE_EDGE

    return next(iter(_runs_of_edges(catalog.edges(LINEAGE_EDGE.c.run == run_id))), None)


def _runs_of_edges(edges: Sequence[Row]) -> list[Document]:
    by_run: dict[str, list[Row]] = {}
    for edge in edges:
        by_run.setdefault(edge.run, []).append(edge)
    return [_run_of_edges(id, of_run) for id, of_run in by_run.items()]


def _run_of_edges(id: str, edges: Sequence[Row]) -> Document:
    at = {"createdAt": time(edges[0].at), "updatedAt": time(edges[0].at), "startedAt": time(edges[0].at)}
    read = sorted({(edge.in_asset, edge.in_version) for edge in edges if edge.in_asset})
    wrote = sorted({(edge.out_asset, edge.out_version) for edge in edges})
    inputs, outputs = ([Name(OWN, asset) for asset, _ in pairs] for pairs in (read, wrote))
    name = outputs[0]
    versions = [
        [{"datasetVersionId": {**Name(OWN, asset).document, "version": version}} for asset, version in pairs]
        for pairs in (read, wrote)
    ]
    engine = {"name": edges[0].engine.partition(" ")[0], "version": edges[0].engine.partition(" ")[2]}
    return {
        "id": id,
        **at,
        "nominalStartTime": None,
        "nominalEndTime": None,
        "state": "COMPLETED",
        "endedAt": time(edges[0].at),
        "durationMs": 0,
        "args": {},
        "jobVersion": {**name.document, "version": job_version(name, inputs, outputs, None)},
        "inputDatasetVersions": versions[0],
        "outputDatasetVersions": versions[1],
        "facets": {"processing_engine": engine},
    }


def _identity(name: Name, facets: Mapping[str, Any]) -> Document:
    declared = facet(facets, "dataSource")
    return {
        "name": name.name,
        "physicalName": name.name,
        "namespace": name.namespace,
        "sourceName": str(declared.get("name") or name.namespace),
    }
