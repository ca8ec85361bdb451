"""The answers of the Marquez API, one function for each path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from starlette.datastructures import QueryParams

from api.protocols.marquez import documents, graph
from api.protocols.marquez.catalog import MAX_RUNS, Catalog, Row
from api.protocols.marquez.documents import Document
from api.protocols.marquez.names import OWN, Name, node_id
from api.services.ai_catalog.kinds.lineage_event import LINEAGE_EVENT
from api.services.ai_catalog.lineage_tables import LINEAGE_EVENT as EVENTS
from api.services.ai_catalog.logic.openlineage import event_time
from core.errors import InvalidArgument, NotFound
from core.ports import AssetNode

T = TypeVar("T")
_MAX_LIMIT = 1_000
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that a request asks for."""

    limit: int
    offset: int

    @classmethod
    def of(cls, query: QueryParams) -> Page:
        """Returns the page of `limit` and `offset`."""
        return cls(number(query, "limit", 100, 1, _MAX_LIMIT), number(query, "offset", 0, 0, 1_000_000))

    def cut(self, values: list[T]) -> list[T]:
        """Returns the values on the page."""
        return values[self.offset : self.offset + self.limit]


def number(query: QueryParams, name: str, default: int, least: int, most: int) -> int:
    """Returns a number in the query.

    Raises:
        InvalidArgument: it is not a number from `least` to `most`.
    """
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise InvalidArgument(f"{name} must be a number from {least:,} to {most:,}.")
    return int(text)


def namespaces(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces`."""
    return {"namespaces": page.cut(_namespaces(catalog))}


def namespace(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}`."""
    return _only([one for one in _namespaces(catalog) if one["name"] == names[0]], "namespace", names[0])


def datasets(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/datasets`."""
    found = sorted((name, rows) for name, rows in catalog.datasets().items() if name.namespace == names[0])
    items = [documents.dataset(name, rows, _asset(catalog, name), catalog) for name, rows in page.cut(found)]
    return {"datasets": items, "totalCount": len(found)}


def dataset(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/datasets/{dataset}`."""
    name, rows = _dataset(catalog, names)
    return documents.dataset(name, rows, _asset(catalog, name), catalog)


def dataset_versions(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/datasets/{dataset}/versions`."""
    found = _versions(catalog, *_dataset(catalog, names), page.offset + page.limit)
    return {"versions": page.cut(found), "totalCount": len(found)}


def dataset_version(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/datasets/{dataset}/versions/{version}`."""
    found = _versions(catalog, *_dataset(catalog, names), MAX_RUNS)
    return _only([one for one in found if one["version"] == names[2]][:1], "version", names[2])


def jobs(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /jobs`."""
    return _job_list(catalog, catalog.jobs(), page)


def jobs_of_namespace(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/jobs`."""
    found = {name: rows for name, rows in catalog.jobs().items() if name.namespace == names[0]}
    return _job_list(catalog, found, page)


def job(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/jobs/{job}`."""
    return documents.job(*_job(catalog, names), catalog)


def job_versions(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/jobs/{job}/versions`. A version is a set of inputs and outputs of its runs."""
    found = _job_versions(catalog, names)
    return {"versions": page.cut(found), "totalCount": len(found)}


def job_version(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/jobs/{job}/versions/{version}`."""
    found = [one for one in _job_versions(catalog, names) if one["version"] == names[2]]
    return _only(found, "version", names[2])


def job_runs(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /namespaces/{namespace}/jobs/{job}/runs`, newest first."""
    name, rows = _job(catalog, names)
    if not rows:
        return {"runs": page.cut(documents.own_runs(name, catalog))}
    return {"runs": [documents.run(row, catalog) for row in catalog.runs(rows, page.limit, page.offset)]}


def run(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /jobs/runs/{run}`."""
    row = catalog.run(names[0].lower())
    found = documents.run(row, catalog) if row is not None else documents.own_run(names[0], catalog)
    return _only([found] if found else [], "run", names[0])


def run_facets(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /jobs/runs/{run}/facets`."""
    found = run(catalog, names, query, page)
    kind = query.get("type", "run")
    if kind not in ("run", "job"):
        raise InvalidArgument("type must be run or job.")
    facets = found["facets"]
    if kind == "job":
        name = found["jobVersion"]
        facets = job(catalog, [name["namespace"], name["name"]], query, page)["facets"]
    return {"runId": found["id"], "facets": facets}


def lineage(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /lineage`."""
    return graph.lineage(catalog, query.get("nodeId", ""), number(query, "depth", 20, 0, _MAX_DEPTH))


def column_lineage(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /column-lineage`."""
    downstream = query.get("withDownstream", "false").lower() == "true"
    depth = number(query, "depth", 20, 0, _MAX_DEPTH)
    return graph.column_lineage(catalog, query.get("nodeId", ""), depth, downstream=downstream)


def events(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /events/lineage`: the events as they were sent."""
    return _events(catalog, query, page, [])


def events_of_namespace(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /events/{namespace}`: those of jobs of a namespace."""
    return _events(catalog, query, page, [EVENTS.c.job_namespace == names[0]])


def search(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /search`: datasets and jobs whose name contains the text."""
    text, kind, order = query.get("q", "").lower(), query.get("filter", "").upper(), query.get("sort", "name").lower()
    if not text:
        raise InvalidArgument("q is missing: the text that names must contain.")
    if kind not in ("", "DATASET", "JOB") or order not in ("name", "updated_at", "update_at"):
        raise InvalidArgument("filter must be DATASET or JOB, and sort must be name or updated_at.")
    found = []
    for one, all_of_kind in (("DATASET", catalog.datasets), ("JOB", catalog.jobs)):
        if kind in ("", one):
            matching = ((name, rows) for name, rows in all_of_kind().items() if text in name.name.lower())
            found += [_result(one, name, rows) for name, rows in matching]
    found.sort(key=lambda one: (one["name"], one["namespace"], one["type"]))
    if order != "name":
        found.sort(key=lambda one: str(one["updatedAt"]), reverse=True)
    return {"totalCount": len(found), "results": found[: page.limit]}


def sources(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /sources`."""
    return {"sources": page.cut(_sources(catalog))}


def source(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /sources/{source}`."""
    return _only([one for one in _sources(catalog) if one["name"] == names[0]], "source", names[0])


def tags(catalog: Catalog, names: list[str], query: QueryParams, page: Page) -> Document:
    """`GET /tags`: those in the facets of datasets and jobs."""
    rows = [row for found in (catalog.datasets(), catalog.jobs()) for rows in found.values() for row in rows]
    found = sorted({tag for row in rows for tag in documents.tags(row.facets)})
    return {"tags": [{"name": tag, "description": None} for tag in page.cut(found)]}


def _namespaces(catalog: Catalog) -> list[Document]:
    times: dict[str, list[Any]] = {}
    for found in (catalog.datasets(), catalog.jobs()):
        for name, rows in found.items():
            times.setdefault(name.namespace, []).extend((row.created_at, row.updated_at) for row in rows)
    return [
        documents.namespace(name, min((a for a, _ in pairs), default=None), max((b for _, b in pairs), default=None))
        for name, pairs in sorted(times.items())
    ]


def _sources(catalog: Catalog) -> list[Document]:
    found: dict[str, Document] = {}
    for name, rows in sorted(catalog.datasets().items()):
        one = documents.source(name, rows[0].facets if rows else {}, rows[0].updated_at if rows else None)
        found.setdefault(one["name"], one)
    return [found[name] for name in sorted(found)]


def _dataset(catalog: Catalog, names: list[str]) -> tuple[Name, list[Row]]:
    name = Name(names[0], names[1])
    return name, _only([rows for rows in [catalog.datasets([name]).get(name)] if rows is not None], "dataset", names[1])


def _job(catalog: Catalog, names: list[str]) -> tuple[Name, list[Row]]:
    name = Name(names[0], names[1])
    return name, _only([rows for rows in [catalog.jobs([name]).get(name)] if rows is not None], "job", names[1])


def _asset(catalog: Catalog, name: Name) -> AssetNode | None:
    return catalog.assets.get(name.name) if name.namespace == OWN else None


def _versions(catalog: Catalog, name: Name, rows: list[Row], limit: int) -> list[Document]:
    """Returns the versions of a dataset that runs wrote, newest first."""
    found = []
    for run, use in catalog.written(rows, limit):
        # A run that names no version of an asset wrote no version that is known.
        if use.version or name.namespace != OWN:
            version = documents.version_of(run, use).replace("%40", "@")
            facets = catalog.values.of_dataset(use.facets, *(row.asset for row in rows))
            found.append(documents.dataset_version(name, version, facets, run.ended_at, documents.run(run, catalog)))
    for own in documents.own_runs(name, catalog):
        for output in own["outputDatasetVersions"]:
            if (id := output["datasetVersionId"])["name"] == name.name:
                one = documents.dataset_version(name, id["version"], {}, None, own)
                found.append(one | {"createdAt": own["endedAt"]})
    distinct = {one["version"]: one for one in reversed(found)}
    return sorted(distinct.values(), key=lambda one: str(one["createdAt"]), reverse=True)


def _job_list(catalog: Catalog, found: dict[Name, list[Row]], page: Page) -> Document:
    items = [documents.job(name, rows, catalog) for name, rows in page.cut(sorted(found.items()))]
    return {"jobs": items, "totalCount": len(found)}


def _job_versions(catalog: Catalog, names: list[str]) -> list[Document]:
    name, rows = _job(catalog, names)
    runs = [documents.run(row, catalog) for row in catalog.runs(rows)] if rows else documents.own_runs(name, catalog)
    found: dict[str, Document] = {}
    for one in runs:
        version = one["jobVersion"]["version"]
        ids = [[used["datasetVersionId"] for used in one[f"{side}DatasetVersions"]] for side in ("input", "output")]
        read, wrote = ([{key: id[key] for key in ("namespace", "name")} for id in some] for some in ids)
        document = {"id": {**name.document, "version": version}, **name.document, "version": version}
        document |= {"createdAt": one["createdAt"], "inputs": read, "outputs": wrote, "location": None}
        latest = found.get(version, {}).get("latestRun") or one
        found[version] = document | {"latestRun": latest, "facets": rows[0].facets if rows else {}}
    return sorted(found.values(), key=lambda one: str(one["createdAt"]), reverse=True)


def _events(catalog: Catalog, query: QueryParams, page: Page, where: list[sa.ColumnElement[bool]]) -> Document:
    conditions = [LINEAGE_EVENT.visible(catalog.unit), *where]
    if before := query.get("before"):
        conditions.append(EVENTS.c.event_time < event_time(before, "/before"))
    if after := query.get("after"):
        conditions.append(EVENTS.c.event_time > event_time(after, "/after"))
    descending = query.get("sortDirection", "desc").lower() != "asc"
    order = [column.desc() if descending else column for column in (EVENTS.c.event_time, EVENTS.c.id)]
    select = sa.select(EVENTS).where(*conditions).order_by(*order).limit(page.limit).offset(page.offset)
    connection = catalog.unit.connection
    count = connection.scalar(sa.select(sa.func.count()).select_from(EVENTS).where(*conditions))
    return {"events": catalog.values.of_events(connection.execute(select).all()), "totalCount": count}


def _result(kind: str, name: Name, rows: list[Row]) -> Document:
    updated = documents.time(max((row.updated_at for row in rows), default=None)) or documents.EPOCH
    return {"type": kind, **name.document, "updatedAt": updated, "nodeId": node_id(kind.lower(), name)}


def _only(found: list[T], noun: str, text: str) -> T:
    if not found:
        raise NotFound(f"There is no {noun} {text[:200]!r}.")
    return found[0]
