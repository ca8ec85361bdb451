"""Storage of lineage events: the events, the state of their runs, and the edges that completed runs make.

Everything is written in the transaction of the request. The order in which events arrive does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.securable import Securable
from api.services.ai_catalog.lineage_tables import (
    EXTERNAL_DATASET,
    EXTERNAL_DATASET_USE,
    EXTERNAL_JOB,
    EXTERNAL_RUN,
    LINEAGE_EVENT,
)
from api.services.ai_catalog.logic.lineage_claims import Claim, FindingCode, finding
from api.services.ai_catalog.logic.lineage_edges import RunUse, record_edges
from api.services.ai_catalog.logic.lineage_rows import LineageRows, Row, chunks, merge
from api.services.ai_catalog.logic.openlineage import DatasetUse, EventType, LineageMessage, RunEventState, key_of
from core.ids import new_id

_STATES = {
    RunEventState.START: "RUNNING",
    RunEventState.RUNNING: "RUNNING",
    RunEventState.COMPLETE: "COMPLETED",
    RunEventState.ABORT: "ABORTED",
    RunEventState.FAIL: "FAILED",
}
FINAL = ("COMPLETED", "ABORTED", "FAILED")


@dataclass(frozen=True, slots=True)
class Received:
    """An event that is stored, and whether it was stored before this request."""

    id: str
    duplicate: bool


class Ingestion:
    """The events of one request for one project. The caller holds the lock of the project."""

    def __init__(self, unit: Unit, project: Securable, project_name: str) -> None:
        self._unit = unit
        self._project_name = project_name
        self._scope: Row = {"organization_id": project.organization_id, "project_id": project.id}
        connection = unit.connection
        self.jobs = LineageRows(connection, EXTERNAL_JOB, "xjb", ("key",), self._scope)
        self.runs = LineageRows(connection, EXTERNAL_RUN, "xrn", ("run_id",), self._scope)
        self.datasets = LineageRows(connection, EXTERNAL_DATASET, "xds", ("key",), self._scope)
        self.uses = LineageRows(
            connection, EXTERNAL_DATASET_USE, "xdu", ("owner_id", "dataset_id", "direction"), self._scope
        )
        self._findings: dict[str, list[Row]] = {}

    def store(self, messages: Sequence[LineageMessage], claims: Sequence[Sequence[Claim]]) -> list[Received]:
        """Stores the events that are not stored yet, and returns each with its id."""
        ids = self._stored_ids([message.digest for message in messages])
        received, new = [], []
        for message, claimed in zip(messages, claims, strict=True):
            duplicate = message.digest in ids
            if not duplicate:
                ids[message.digest] = new_id("lev")
                new.append((message, claimed))
            received.append(Received(ids[message.digest], duplicate))
        if new:
            self._load(new)
            completed: dict[str, tuple[str, Row]] = {}
            for message, claimed in new:
                run = self._apply(message, claimed)
                if run is not None and run["state"] == "COMPLETED":
                    completed[run["id"]] = message.digest, run
            self._write()
            for digest, run in completed.values():
                self._find(digest, self._record_edges(run))
            self._insert([message for message, _ in new], ids)
        return received

    def _stored_ids(self, digests: Sequence[str]) -> dict[str, str]:
        table = LINEAGE_EVENT.c
        found: dict[str, str] = {}
        for some in chunks(sorted(set(digests))):
            rows = self._unit.connection.execute(
                sa.select(table.digest, table.id).where(
                    table.project_id == self._scope["project_id"], table.digest.in_(some)
                )
            )
            found |= {row.digest: row.id for row in rows}
        return found

    def _load(self, new: Sequence[tuple[LineageMessage, Sequence[Claim]]]) -> None:
        self.jobs.load(key_of(*message.job) for message, _ in new if message.job)
        self.runs.load(message.run_id for message, _ in new if message.run_id)
        self.jobs.load((row["job_id"] for row in self.runs.all()), "id")
        owners = [row["id"] for row in (*self.jobs.all(), *self.runs.all())]
        self.uses.load(owners)
        self.datasets.load(
            key_of(use.namespace, use.name, claim.asset)
            for message, claimed in new
            for use, claim in zip(message.uses, claimed, strict=True)
        )
        self.datasets.load((row["dataset_id"] for row in self.uses.all()), "id")

    def _apply(self, message: LineageMessage, claimed: Sequence[Claim]) -> Row | None:
        """Changes the rows that an event describes. Returns its run."""
        owner = self._job(message)
        run = None
        if message.type is EventType.RUN and owner is not None:
            owner = run = self._run(message, owner)
        for use, claim in zip(message.uses, claimed, strict=True):
            dataset = self._dataset(message, use, claim)
            if owner is not None:
                self._use(message, owner, dataset, use, claim)
            if claim.problem:
                facts = {"asset": claim.asset, "version": use.version}
                fault = finding(claim.code, use.namespace, use.name, detail=claim.problem, **facts)
                self._find(message.digest, [fault])
        return run

    def _job(self, message: LineageMessage) -> Row | None:
        if message.job is None:
            return None
        namespace, name = message.job
        times = {"created_at": self._unit.now, "updated_at": self._unit.now}
        values: Row = {"namespace": namespace, "name": name, "facets": {}, "facet_times": {}, **times}
        job = self.jobs.obtain((key_of(namespace, name),), latest_run=None, latest_run_at=None, **values)
        merge(job, message.job_facets, message.at)
        job["updated_at"] = self._unit.now
        return job

    def _run(self, message: LineageMessage, job: Row) -> Row:
        state = _STATES.get(message.state, "NEW")
        run = self.runs.obtain(
            (str(message.run_id),),
            job_id=job["id"],
            job_namespace=job["namespace"],
            job_name=job["name"],
            state=state,
            state_at=message.at,
            started_at=None,
            ended_at=None,
            facets={},
            facet_times={},
            created_at=self._unit.now,
            updated_at=self._unit.now,
            created_by=self._unit.principal.name,
        )
        if state in FINAL and run["state"] in FINAL and state != run["state"]:
            detail = f"The run reported {run['state']} and {state}. The later report counts."
            self._find(message.digest, [finding(FindingCode.TWO_RESULTS, *(message.job or ("", "")), detail=detail)])
        if (_rank(state), message.at) >= (_rank(run["state"]), run["state_at"]):
            run["state"], run["state_at"] = state, message.at
            run["ended_at"] = message.at if state in FINAL else None
        if message.state is RunEventState.START or run["started_at"] is None:
            run["started_at"] = min(message.at, run["started_at"] or message.at)
        merge(run, message.run_facets, message.at)
        run["updated_at"] = self._unit.now
        if job["latest_run_at"] is None or run["started_at"] >= job["latest_run_at"]:
            job["latest_run"], job["latest_run_at"] = run["id"], run["started_at"]
        return run

    def _dataset(self, message: LineageMessage, use: DatasetUse, claim: Claim) -> Row:
        times = {"created_at": self._unit.now, "updated_at": self._unit.now}
        values: Row = {"namespace": use.namespace, "name": use.name, "facets": {}, "facet_times": {}, **times}
        key = key_of(use.namespace, use.name, claim.asset)
        dataset = self.datasets.obtain((key,), asset=claim.asset, **values)
        merge(dataset, use.facets, message.at)
        dataset["updated_at"] = self._unit.now
        return dataset

    def _use(self, message: LineageMessage, owner: Row, dataset: Row, use: DatasetUse, claim: Claim) -> None:
        values: Row = {"version": None, "previous": None, "facets": {}, "facet_times": {}}
        row = self.uses.obtain((owner["id"], dataset["id"], use.direction), updated_at=self._unit.now, **values)
        merge(row, {**use.facets, **use.use_facets}, message.at)
        if use.version is not None and row["facet_times"]["version"] == message.at.isoformat():
            row["version"], row["previous"] = claim.version, claim.previous
        row["updated_at"] = self._unit.now

    def _record_edges(self, run: Row) -> list[Row]:
        """Records the edges of a run that completed, and returns what is wrong with its claims."""
        job = self.jobs.with_id(run["job_id"])
        uses = [
            RunUse(row["direction"], self.datasets.with_id(row["dataset_id"]), row)
            for row in self.uses.of("owner_id", run["id"])
        ]
        return record_edges(self._unit, self._project_name, run, job, uses)

    def _write(self) -> None:
        self.jobs.upsert(EXTERNAL_JOB)
        self.runs.upsert(EXTERNAL_RUN)
        self.datasets.upsert(EXTERNAL_DATASET)
        self.uses.upsert(EXTERNAL_DATASET_USE)

    def _find(self, digest: str, findings: Sequence[Row]) -> None:
        self._findings.setdefault(digest, []).extend(findings)

    def _insert(self, messages: Sequence[LineageMessage], ids: dict[str, str]) -> None:
        rows = [
            {
                "id": ids[message.digest],
                **self._scope,
                "type": message.type.value,
                "state": message.state.value,
                "event_time": message.at,
                "producer": message.producer,
                "run_id": message.run_id,
                "job_namespace": message.job[0] if message.job else None,
                "job_name": message.job[1] if message.job else None,
                "digest": message.digest,
                "body": message.body,
                "findings": self._findings.get(message.digest, []),
                "received_at": self._unit.now,
                "created_by": self._unit.principal.name,
            }
            for message in messages
        ]
        self._unit.connection.execute(LINEAGE_EVENT.insert(), rows)


def _rank(state: str) -> int:
    """Returns the rank of a state: a run that ended does not start again."""
    return 2 if state in FINAL else 0 if state == "NEW" else 1
