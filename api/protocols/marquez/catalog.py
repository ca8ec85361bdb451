"""Datasets, jobs, and runs as Marquez names them, from the rows of OpenLineage events and from the asset graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.permissions.graph import visible_assets
from api.protocols.marquez.names import OWN, Name
from api.services.ai_catalog.kinds.external_dataset import EXTERNAL_DATASET
from api.services.ai_catalog.kinds.external_run import EXTERNAL_RUN
from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET as DATASETS
from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET_USE as USES
from api.services.ai_catalog.lineage_tables import EXTERNAL_JOB as JOBS
from api.services.ai_catalog.lineage_tables import EXTERNAL_RUN as RUNS
from api.services.ai_catalog.logic.facet_values import FacetValues
from api.services.ai_catalog.logic.lineage_rows import chunks
from core.ports import AssetNode, GraphView

Row = sa.Row[Any]
MAX_RUNS = 1_000
"""Maximum number of runs of a job from which its versions are derived."""


class Catalog:
    """What one caller sees, as of one snapshot of the database."""

    def __init__(self, unit: Unit, view: GraphView) -> None:
        self.unit = unit
        self.view = view
        self.assets = view.nodes
        self._is_visible = visible_assets(unit.platform, unit.principal.access)
        self.values = FacetValues(unit)
        self._of_job = unit.principal.access.where(EXTERNAL_RUN.permission("get"), JOBS, id=JOBS.c.organization_id)

    def dataset_name(self, row: Row) -> Name:
        """Returns the name of a dataset of events: that of the asset, if it is one that the caller can see."""
        is_asset = row.asset and self._is_visible(row.asset)
        return Name(OWN, row.asset) if is_asset else Name(row.namespace, row.name)

    def datasets(self, names: Collection[Name] | None = None) -> dict[Name, list[Row]]:
        """Returns the rows of datasets by name, newest first; by default those of all datasets.

        A dataset has several rows if several projects have events about it. An asset may have none.
        """
        select = sa.select(DATASETS).where(EXTERNAL_DATASET.visible(self.unit)).order_by(DATASETS.c.updated_at.desc())
        rows = self._named(select, DATASETS, names)
        if names is not None:
            own = [name.name for name in names if name.namespace == OWN]
            rows += [row for some in chunks(own) for row in self._all(select.where(DATASETS.c.asset.in_(some)))]
        found: dict[Name, list[Row]] = {}
        for row in {row.id: row for row in rows}.values():
            found.setdefault(self.dataset_name(row), []).append(row)
        for asset in self.assets:
            if names is None or Name(OWN, asset) in names:
                found.setdefault(Name(OWN, asset), [])
        return found if names is None else {name: rows for name, rows in found.items() if name in names}

    def jobs(self, names: Collection[Name] | None = None) -> dict[Name, list[Row]]:
        """Returns the rows of jobs by name, newest first; by default those of all jobs. Own jobs have none."""
        select = sa.select(JOBS).where(self._of_job).order_by(JOBS.c.updated_at.desc())
        found: dict[Name, list[Row]] = {}
        for row in self._named(select, JOBS, names):
            found.setdefault(Name(row.namespace, row.name), []).append(row)
        for asset, node in self.assets.items():
            if node.executable and (names is None or Name(OWN, asset) in names):
                found.setdefault(Name(OWN, asset), [])
        return found

    def jobs_of(self, datasets: Sequence[Row]) -> dict[Name, list[Row]]:
        """Returns the jobs that read or write one of these datasets, now or in their latest run."""
        owners = (JOBS.c.id, JOBS.c.latest_run)
        ids: set[str] = set()
        for some in chunks([row.id for row in datasets]):
            for owner in owners:
                query = sa.select(JOBS.c.id).join(USES, USES.c.owner_id == owner).where(USES.c.dataset_id.in_(some))
                ids |= set(self.unit.connection.execute(query.where(self._of_job)).scalars())
        select = sa.select(JOBS).where(self._of_job)
        rows = [row for some in chunks(sorted(ids)) for row in self._all(select.where(JOBS.c.id.in_(some)))]
        found: dict[Name, list[Row]] = {}
        for row in rows:
            found.setdefault(Name(row.namespace, row.name), []).append(row)
        return found

    def uses(self, owners: Iterable[str]) -> list[tuple[Row, Row]]:
        """Returns the inputs and outputs of runs and jobs, each with its dataset."""
        found: list[tuple[Row, Row]] = []
        for some in chunks(sorted(set(owners))):
            rows = self._all(sa.select(USES).where(USES.c.owner_id.in_(some)).order_by(USES.c.id))
            ids = sorted({row.dataset_id for row in rows})
            visible = sa.select(DATASETS).where(EXTERNAL_DATASET.visible(self.unit))
            known = {row.id: row for part in chunks(ids) for row in self._all(visible.where(DATASETS.c.id.in_(part)))}
            found += [(row, known[row.dataset_id]) for row in rows if row.dataset_id in known]
        return found

    def uses_of_jobs(self, jobs: Sequence[Row]) -> list[tuple[Row, Row]]:
        """Returns the inputs and outputs of jobs: those of their latest runs, and those declared without a run."""
        return self.uses([id for job in jobs for id in (job.id, job.latest_run) if id])

    def runs(self, jobs: Sequence[Row], limit: int = MAX_RUNS, offset: int = 0) -> list[Row]:
        """Returns the runs of jobs, newest first."""
        select = sa.select(RUNS).where(EXTERNAL_RUN.visible(self.unit), RUNS.c.job_id.in_([job.id for job in jobs]))
        return self._all(select.order_by(RUNS.c.started_at.desc(), RUNS.c.id.desc()).limit(limit).offset(offset))

    def run(self, run_id: str) -> Row | None:
        """Returns the run with this UUID. If several projects have it, the newest."""
        select = sa.select(RUNS).where(EXTERNAL_RUN.visible(self.unit), RUNS.c.run_id == run_id)
        return self.unit.connection.execute(select.order_by(RUNS.c.updated_at.desc()).limit(1)).first()

    def written(self, datasets: Sequence[Row], limit: int, offset: int = 0) -> list[tuple[Row, Row]]:
        """Returns the runs that wrote datasets, newest first, each with its output."""
        select = (
            sa.select(RUNS)
            .add_columns(USES.c.id.label("use_id"))
            .join(USES, USES.c.owner_id == RUNS.c.id)
            .where(
                EXTERNAL_RUN.visible(self.unit),
                RUNS.c.state == "COMPLETED",
                USES.c.direction == "OUTPUT",
                USES.c.dataset_id.in_([row.id for row in datasets]),
            )
            .order_by(RUNS.c.ended_at.desc(), RUNS.c.id.desc())
        )
        runs = self._all(select.limit(limit).offset(offset))
        ids = [run.use_id for run in runs]
        uses = {use.id: use for some in chunks(ids) for use in self._all(sa.select(USES).where(USES.c.id.in_(some)))}
        return [(run, uses[run.use_id]) for run in runs]

    @cached_property
    def readers(self) -> dict[str, tuple[AssetNode, ...]]:
        """The assets that the code reads from each asset."""
        return {
            id: tuple(self.assets[other] for other in others if other in self.assets)
            for id, others in self.view.downstream.items()
        }

    def edges(self, *conditions: sa.ColumnElement[bool], limit: int = MAX_RUNS) -> list[Row]:
        """Returns recorded edges of runs of the platform, newest first, without inputs that the caller cannot see."""
        from lakehouse.lineage import LINEAGE_EDGE

        edge = LINEAGE_EDGE.c
        own = edge.run.not_like("openlineage:%")
        query = sa.select(LINEAGE_EDGE).where(own, *conditions).order_by(edge.sequence.desc()).limit(limit)
        return [row for row in self._all(query) if self._is_visible(row.out_asset) and self._is_visible(row.in_asset)]

    def _named(self, select: sa.Select[Any], table: sa.Table, names: Collection[Name] | None) -> list[Row]:
        if names is None:
            return self._all(select)
        rows = []
        for some in chunks(sorted({name.name for name in names})):
            rows += self._all(select.where(table.c.name.in_(some)))
        return [row for row in rows if Name(row.namespace, row.name) in names or table is DATASETS]

    def _all(self, query: sa.Select[Any]) -> list[Row]:
        return list(self.unit.connection.execute(query))
