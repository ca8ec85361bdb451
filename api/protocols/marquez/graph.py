"""Lineage graphs of Marquez: datasets and the jobs between them, and fields with the fields that they come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from api.protocols.marquez import documents
from api.protocols.marquez.catalog import Catalog, Row
from api.protocols.marquez.documents import Document, facet, items
from api.protocols.marquez.names import OWN, Name, candidates, node_id, parse_node
from core.errors import NotFound

MAX_NODES = 1_000
_DATASET, _JOB = "dataset", "job"
Node = tuple[str, Name]


def lineage(catalog: Catalog, node: str, depth: int) -> Document:
    """Returns the graph around a dataset or job, in both directions, up to this number of edges."""
    kind, parts = parse_node(node, _DATASET, _JOB)
    graph = _Graph(catalog)
    start = graph.find(kind, parts, node)
    seen, level = {start: 0}, [start]
    for distance in range(1, depth + 1):
        reached = []
        for other in graph.neighbours(level):
            if other not in seen and len(seen) < MAX_NODES:
                seen[other] = distance
                reached.append(other)
        level = reached
    return {"graph": [graph.document(one, seen) for one in sorted(seen)]}


class _Graph:
    """Jobs and datasets, loaded level by level."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._datasets: dict[Name, list[Row]] = {}
        self._jobs: dict[Name, list[Row]] = {}
        self._edges: set[tuple[Node, Node]] = set()

    def find(self, kind: str, parts: list[str], text: str) -> Node:
        """Returns the node that an id names.

        Raises:
            NotFound: there is none that the caller can see.
        """
        names = set(candidates(parts))
        known = self._catalog.datasets(names) if kind == _DATASET else self._catalog.jobs(names)
        if not known:
            raise NotFound(f"There is no node {text[:200]!r}.")
        return kind, min(known)

    def neighbours(self, level: Iterable[Node]) -> list[Node]:
        """Returns the jobs of datasets and the datasets of jobs, and notes the edges."""
        nodes = list(level)
        found: list[Node] = []
        self._load([name for kind, name in nodes if kind == _DATASET], [name for kind, name in nodes if kind == _JOB])
        for kind, name in nodes:
            if kind == _DATASET:
                jobs = self._catalog.jobs_of(self._datasets.get(name, []))
                own = self._own_jobs(name)
                self._jobs |= jobs | {one: self._jobs.get(one, []) for one in own}
                for job in (*jobs, *own):
                    found.append((_JOB, job))
                    self._connect(job)
            else:
                found += self._connect(name)
        return found

    def document(self, node: Node, seen: dict[Node, int]) -> Document:
        """Returns a node with the edges to nodes of the graph."""
        kind, name = node
        if kind == _DATASET and name not in self._datasets:
            self._load([name], [])
        if kind == _JOB and name not in self._jobs:
            self._load([], [name])
        data = (
            documents.dataset(name, self._datasets.get(name, []), self._asset(name), self._catalog)
            if kind == _DATASET
            else documents.job(name, self._jobs.get(name, []), self._catalog)
        )
        edges = sorted((a, b) for a, b in self._edges if a in seen and b in seen)
        return {
            "id": node_id(*node),
            "type": kind.upper(),
            "data": data,
            "inEdges": [_edge(a, b) for a, b in edges if b == node],
            "outEdges": [_edge(a, b) for a, b in edges if a == node],
        }

    def _asset(self, name: Name) -> Any:
        return self._catalog.assets.get(name.name) if name.namespace == OWN else None

    def _own_jobs(self, name: Name) -> list[Name]:
        """Returns the jobs of the platform that make or read an asset."""
        node = self._asset(name)
        if node is None:
            return []
        made = [Name(OWN, node.id)] if node.executable else []
        return made + [Name(OWN, reader.id) for reader in self._catalog.readers.get(node.id, ()) if reader.executable]

    def _connect(self, job: Name) -> list[Node]:
        inputs, outputs = documents.job_datasets(job, self._jobs.get(job, []), self._catalog)
        self._edges |= {((_DATASET, one), (_JOB, job)) for one in inputs}
        self._edges |= {((_JOB, job), (_DATASET, one)) for one in outputs}
        return [(_DATASET, one) for one in (*inputs, *outputs)]

    def _load(self, datasets: list[Name], jobs: list[Name]) -> None:
        if missing := [name for name in datasets if name not in self._datasets]:
            self._datasets |= self._catalog.datasets(missing)
        if missing := [name for name in jobs if name not in self._jobs]:
            self._jobs |= self._catalog.jobs(missing)


def _edge(origin: Node, destination: Node) -> Document:
    return {"origin": node_id(*origin), "destination": node_id(*destination)}


def column_lineage(catalog: Catalog, node: str, depth: int, *, downstream: bool) -> Document:
    """Returns the fields that a dataset, field, or job comes from, and those that come from it if asked for."""
    kind, parts = parse_node(node, _DATASET, "datasetField", _JOB)
    field = parts.pop() if kind == "datasetField" else None
    starts: set[Name] = set()
    if kind == _JOB:
        graph = _Graph(catalog)
        starts = {name for _, name in graph.neighbours([graph.find(_JOB, parts, node)])}
    else:
        starts = {_Graph(catalog).find(_DATASET, parts, node)[1]}
    columns = _Columns(catalog)
    level = {(name, one) for name in starts for one in columns.of(name) if field in (None, one)}
    seen = set(level)
    for _ in range(depth):
        reached = {source for one in level for source in columns.sources(one)}
        if downstream:
            reached |= {target for one in level for target in columns.targets(one)}
        level = {one for one in reached if one not in seen and len(seen) < MAX_NODES}
        seen |= level
    return {"graph": [columns.document(one, seen) for one in sorted(seen)]}


Column = tuple[Name, str]


class _Columns:
    """Column lineage from the facets of all datasets that the caller can see."""

    def __init__(self, catalog: Catalog) -> None:
        self._types: dict[Column, str | None] = {}
        self._sources: dict[Column, dict[Column, Document]] = {}
        self._targets: dict[Column, set[Column]] = {}
        datasets = catalog.datasets()
        # Events name an asset as they like, so the names in facets are translated.
        canonical = {Name(row.namespace, row.name): name for name, rows in datasets.items() for row in rows}
        for name, rows in datasets.items():
            for row in reversed(rows):
                for one in documents.fields(row.facets):
                    self._types[name, one["name"]] = one["type"]
                for field, source, facts in _inputs(row.facets):
                    known = canonical.get(source[0]) or (source[0] if source[0] in datasets else None)
                    if known is not None:
                        self._types.setdefault((name, field), None)
                        self._types.setdefault((known, source[1]), None)
                        self._sources.setdefault((name, field), {})[known, source[1]] = facts
                        self._targets.setdefault((known, source[1]), set()).add((name, field))

    def of(self, name: Name) -> list[str]:
        """Returns the known fields of a dataset."""
        return [field for dataset, field in self._types if dataset == name]

    def sources(self, column: Column) -> Iterable[Column]:
        """Returns the fields that a field comes from."""
        return self._sources.get(column, {})

    def targets(self, column: Column) -> Iterable[Column]:
        """Returns the fields that come from a field."""
        return self._targets.get(column, ())

    def document(self, column: Column, seen: set[Column]) -> Document:
        """Returns a node of the graph."""
        name, field = column
        inputs = sorted((source, facts) for source, facts in self._sources.get(column, {}).items() if source in seen)
        return {
            "id": _field_id(column),
            "type": "DATASET_FIELD",
            "data": {
                "namespace": name.namespace,
                "dataset": name.name,
                "datasetVersion": None,
                "field": field,
                "fieldType": self._types.get(column),
                "transformationDescription": next((facts.get("description") for _, facts in inputs), None),
                "transformationType": next((facts.get("type") for _, facts in inputs), None),
                "inputFields": [
                    {"namespace": source.namespace, "dataset": source.name, "field": one, **_facts(facts)}
                    for (source, one), facts in inputs
                ],
            },
            "inEdges": [{"origin": _field_id(one), "destination": _field_id(column)} for one, _ in inputs],
            "outEdges": [
                {"origin": _field_id(column), "destination": _field_id(one)}
                for one in sorted(self.targets(column))
                if one in seen
            ],
        }


def _inputs(facets: Document) -> Iterator[tuple[str, Column, Document]]:
    """Returns the fields of an output with the fields that they come from, and how."""
    declared = facet(facets, "columnLineage").get("fields")
    for field, document in (declared if isinstance(declared, dict) else {}).items():
        for one in items(document if isinstance(document, dict) else {}, "inputFields"):
            if all(isinstance(one.get(key), str) for key in ("namespace", "name", "field")):
                steps = items(one, "transformations")
                facts = (
                    steps[0]
                    if steps
                    else {
                        "description": document.get("transformationDescription"),
                        "type": document.get("transformationType"),
                    }
                )
                yield field, (Name(one["namespace"], one["name"]), one["field"]), facts


def _facts(facts: Document) -> Document:
    return {"transformationDescription": facts.get("description"), "transformationType": facts.get("type")}


def _field_id(column: Column) -> str:
    return f"datasetField:{column[0].namespace}:{column[0].name}:{column[1]}"
