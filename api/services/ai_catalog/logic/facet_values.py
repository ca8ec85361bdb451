"""Values of rows in lineage events of other systems: facets can contain statistics of columns, and error messages.

A caller who can't read all rows of an asset gets only facets of it that describe its structure and its size. Datasets
that are no assets have no readers on the platform, so their facets are for all who can see the dataset.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET, EXTERNAL_DATASET_USE, EXTERNAL_RUN
from api.services.ai_catalog.logic.lineage_rows import chunks
from api.services.ai_catalog.logic.readable_tables import readable_names, reads_everything

Document = dict[str, Any]

_OF_DATASETS = frozenset(
    {
        *("schema", "version", "dataSource", "datasetType", "catalog", "storage", "symlinks", "hierarchy"),
        *("columnLineage", "documentation", "ownership", "tags", "lifecycleStateChange"),
        *("inputStatistics", "outputStatistics"),
    }
)
"""Facets of datasets that contain no values. The statistics are numbers of rows, bytes, and files."""

_OF_RUNS = frozenset({"parent", "nominalTime", "processing_engine", "externalQuery", "jobDependencies", "tags"})
"""Facets of runs that contain no values."""

_OF_EVENTS = ("eventType", "eventTime", "producer", "schemaURL", "job")
"""Parts of events that contain no values, besides datasets and the run."""


class FacetValues:
    """What a caller gets of facets. One instance serves one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._everything = reads_everything(unit.principal.access)
        self._known: dict[str, bool] = {}

    def closed(self, assets: Iterable[str]) -> set[str]:
        """Returns those of these assets whose rows the caller can't all read."""
        named = {asset for asset in assets if asset}
        if self._everything or not named:
            return set()
        if new := named - self._known.keys():
            readable = readable_names(self._unit.platform, self._unit.principal.access, new)
            self._known |= {asset: asset in readable for asset in new}
        return {asset for asset in named if not self._known[asset]}

    def of_dataset(self, facets: Mapping[str, Any], *assets: str) -> Document:
        """Returns the facets of a dataset that the caller gets. `assets` are the assets that it may be, or empty."""
        return _only(facets, _OF_DATASETS) if self.closed(assets) else dict(facets)

    def closed_runs(self, ids: Collection[str]) -> set[str]:
        """Returns the ids of those of these runs that read or wrote an asset whose rows the caller can't all read."""
        if self._everything:
            return set()
        owner, asset = EXTERNAL_DATASET_USE.c.owner_id, EXTERNAL_DATASET.c.asset
        select = sa.select(owner, asset).join_from(
            EXTERNAL_DATASET_USE, EXTERNAL_DATASET, EXTERNAL_DATASET.c.id == EXTERNAL_DATASET_USE.c.dataset_id
        )
        used = self._all(select.where(asset != ""), owner, ids)
        closed = self.closed(row.asset for row in used)
        return {row.owner_id for row in used if row.asset in closed}

    def of_events(self, rows: Sequence[sa.Row[Any]]) -> list[Document]:
        """Returns events as the caller gets them, from their rows."""
        events = [json.loads(row.body) for row in rows]
        if self._everything:
            return events
        assets = self._assets(rows, events)
        run = EXTERNAL_RUN.c
        runs = self._all(
            sa.select(run.id, run.project_id, run.run_id), run.run_id, {row.run_id for row in rows} - {None}
        )
        closed_runs = self.closed_runs([one.id for one in runs])
        closed = {(one.project_id, one.run_id) for one in runs if one.id in closed_runs}
        return [
            self._event(event, row.project_id, assets, in_closed_run=(row.project_id, row.run_id) in closed)
            for row, event in zip(rows, events, strict=True)
        ]

    def _assets(self, rows: Sequence[sa.Row[Any]], events: Sequence[Document]) -> dict[tuple[str, str, str], set[str]]:
        """Returns the assets that the datasets of events are, by project, namespace, and name."""
        names = {str(one.get("name")) for event in events for one in _datasets(event)}
        known = EXTERNAL_DATASET.c
        select = sa.select(known.project_id, known.namespace, known.name, known.asset)
        projects = {row.project_id for row in rows}
        found: dict[tuple[str, str, str], set[str]] = {}
        for row in self._all(select.where(known.asset != "", known.project_id.in_(projects)), known.name, names):
            found.setdefault((row.project_id, row.namespace, row.name), set()).add(row.asset)
        self.closed(asset for some in found.values() for asset in some)
        return found

    def _event(
        self, event: Document, project: str, assets: Mapping[tuple[str, str, str], set[str]], *, in_closed_run: bool
    ) -> Document:
        closed = [
            dataset
            for dataset in _datasets(event)
            if self.closed(assets.get((project, str(dataset.get("namespace")), str(dataset.get("name"))), ()))
        ]
        if not closed and not in_closed_run:
            return event
        limited = {name: event[name] for name in _OF_EVENTS if name in event}
        if isinstance(event.get("run"), dict):
            limited["run"] = {"runId": event["run"].get("runId"), "facets": _only(event["run"].get("facets"), _OF_RUNS)}
        for name in ("inputs", "outputs"):
            if isinstance(event.get(name), list):
                limited[name] = [_dataset(one) if one in closed else one for one in event[name]]
        if "dataset" in event:
            limited["dataset"] = _dataset(event["dataset"]) if event["dataset"] in closed else event["dataset"]
        return limited

    def _all(self, select: sa.Select[Any], column: sa.Column[Any], values: Collection[Any]) -> list[sa.Row[Any]]:
        found: list[sa.Row[Any]] = []
        for some in chunks(sorted(values)):
            found += self._unit.connection.execute(select.where(column.in_(some)))
        return found


def run_facets(facets: Mapping[str, Any], *, closed: bool) -> Document:
    """Returns the facets of a run, without those that can contain values if it is closed."""
    return _only(facets, _OF_RUNS) if closed else dict(facets)


def _datasets(event: Document) -> list[Document]:
    """Returns the datasets that an event names."""
    named = [*(event.get("inputs") or ()), *(event.get("outputs") or ()), event.get("dataset")]
    return [one for one in named if isinstance(one, dict)]


def _dataset(dataset: Document) -> Document:
    facets = {name: _only(dataset[name], _OF_DATASETS) for name in _FACETS if name in dataset}
    return {"namespace": dataset.get("namespace"), "name": dataset.get("name"), **facets}


_FACETS = ("facets", "inputFacets", "outputFacets")


def _only(facets: Any, names: Collection[str]) -> Document:
    return {name: facet for name, facet in facets.items() if name in names} if isinstance(facets, Mapping) else {}
