"""Evaluation datasets: inputs for an application and what is expected of its answers, in versions with a digest."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.services.ai_catalog.evaluation_dataset_tables import EVALUATION_DATASET_VERSION as VERSION
from api.services.ai_catalog.evaluation_dataset_tables import EVALUATION_RECORD as RECORD
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, ExperimentReference, Tags
from api.services.ai_catalog.logic.evaluation_records import EMPTY, at, close_version, end, upsert
from api.services.ai_catalog.logic.run_rows import Row
from core.errors import InvalidArgument, InvalidPayload, NotFound

Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
"""SHA-256 of the records of a version."""


class EvaluationDatasetSpec(Spec):
    """An evaluation dataset."""

    title: Annotated[Text, Field(min_length=1, max_length=500)]
    """Display name."""

    description: Text = ""
    """What the records are about, and where they come from."""

    tags: Tags = {}
    """Free key-value pairs."""

    experiments: Annotated[list[ExperimentReference], Field(max_length=100)] = []
    """Ids of experiments of the project that use it."""


class EvaluationDatasetStatus(Status):
    """The newest version of an evaluation dataset."""

    version: int = 0
    """Number of the version. 0 if there never was a record."""

    digest: str = EMPTY
    """SHA-256 of the contents of all records, whatever their order."""

    records: int = 0
    """Number of records."""


class EvaluationDataset(Resource[EvaluationDatasetSpec, EvaluationDatasetStatus]):
    """Inputs for an application and what is expected of its answers. Every change of the records makes a version."""


class EvaluationRecord(Model):
    """Inputs, and what is expected of the answer."""

    id: str
    """Id of the record. It stays the same when the record changes."""

    inputs: dict[str, Any]
    """Inputs of the application. Equal inputs are one record."""

    outputs: Any
    """Answer that the application gave once. Null if there is none."""

    expectations: dict[str, Any]
    """What is expected of the answer, by name."""

    tags: dict[str, str]
    """Tags. They are no part of the digest."""

    source: dict[str, Any] | None
    """Where it comes from, such as a trace, as the client says. Null if it is unknown."""

    digest: str
    """SHA-256 of inputs, outputs, and expectations."""

    created_at: datetime
    """Time at which it was created."""

    created_by: str
    """Name of the principal that created it."""

    updated_at: datetime
    """Time of its last change."""

    updated_by: str
    """Name of the principal that changed it last."""


class NewEvaluationRecord(Request):
    """A record to add, or to merge with the one that has equal inputs."""

    inputs: Annotated[dict[str, Any], Field(min_length=1)]
    """Inputs of the application."""

    outputs: Any = None
    """Answer that the application gave once. Null leaves that of the record."""

    expectations: dict[str, Any] = {}
    """What is expected of the answer, by name. Others of the record stay."""

    tags: Tags = {}
    """Tags to set."""

    source: dict[str, Any] | None = None
    """Where it comes from. A source that is known stays."""


class UpsertRecords(Request):
    """Records to add or to change. All are stored, or none. The same request again changes nothing."""

    records: Annotated[list[NewEvaluationRecord], Field(min_length=1, max_length=10_000)]
    """The records."""


class UpsertedRecords(Model):
    """What was stored."""

    inserted: int
    """Number of records that did not exist."""

    updated: int
    """Number of records that existed."""

    version: int
    """Number of the version after the request."""

    digest: str
    """Digest of that version."""


class RemoveRecords(Request):
    """Records to remove."""

    records: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=10_000)]
    """Ids of the records. Unknown ones are skipped."""


class RemovedRecords(Model):
    """What was removed."""

    removed: int
    """Number of records."""

    version: int
    """Number of the version after the request."""

    digest: str
    """Digest of that version."""


class RecordsQuery(Query):
    """A page of records of a version."""

    version: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    """Number of the version. Defaults to the newest."""

    digest: Digest = ""
    """Digest of the version, instead of its number."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of records on the page."""

    page_token: Annotated[str, Field(max_length=64)] = ""
    """`next_page_token` of the previous page."""


class EvaluationRecords(Model):
    """Records of one version, in the order in which they were added."""

    version: int
    """Number of the version. Send it with the token of the next page."""

    digest: str
    """Digest of the version."""

    items: list[EvaluationRecord]
    """The records."""

    next_page_token: str | None
    """Token of the next page. Null if this is the last one."""


EVALUATION_DATASET = ResourceKind(
    EvaluationDataset, plural="evaluation-datasets", prefix="evd", level=Level.PROJECT, filter_by=("spec.title",)
)


@EVALUATION_DATASET.validate
def require_experiments(unit: Unit, dataset: EvaluationDataset, before: EvaluationDataset | None) -> None:
    """Refuses new experiments that are not in the project."""
    known = set(before.spec.experiments) if before else set()
    for n, id in enumerate(dataset.spec.experiments):
        if id not in known and unit.row(EXPERIMENT, id).project_id != dataset.project_id:
            fault = {"pointer": f"/spec/experiments/{n}", "detail": "is no experiment of the project"}
            raise InvalidPayload("The experiments of an evaluation dataset must be in its project.", errors=[fault])


@EVALUATION_DATASET.command("upsert-records", request=UpsertRecords, result=UpsertedRecords, past="records_upserted")
def upsert_evaluation_dataset_records(
    unit: Unit, dataset: EvaluationDataset, request: UpsertRecords
) -> UpsertedRecords:
    """Adds records, or merges them with those that have equal inputs. A change makes a version."""
    status = dataset.status
    inserted, updated = upsert(unit, dataset, status.version, [one.model_dump() for one in request.records])
    _close(unit, dataset)
    unit.call.note(inserted=inserted, updated=updated, digest=status.digest)
    return UpsertedRecords(inserted=inserted, updated=updated, version=status.version, digest=status.digest)


@EVALUATION_DATASET.command("remove-records", request=RemoveRecords, result=RemovedRecords, past="records_removed")
def remove_evaluation_dataset_records(unit: Unit, dataset: EvaluationDataset, request: RemoveRecords) -> RemovedRecords:
    """Removes records from the next version. Earlier versions keep them."""
    status = dataset.status
    removed = end(unit.connection, dataset.id, list(dict.fromkeys(request.records)), status.version)
    _close(unit, dataset)
    unit.call.note(removed=removed, digest=status.digest)
    return RemovedRecords(removed=removed, version=status.version, digest=status.digest)


@EVALUATION_DATASET.view("records", query=RecordsQuery, result=EvaluationRecords)
def get_evaluation_dataset_records(unit: Unit, dataset: EvaluationDataset, query: RecordsQuery) -> EvaluationRecords:
    """Returns the records of a version."""
    version, digest = version_of(unit, dataset, query)
    rows, token = records_of(unit, dataset, version, query.page_size, query.page_token)
    items = [EvaluationRecord(**{name: row._mapping[name] for name in EvaluationRecord.model_fields}) for row in rows]
    return EvaluationRecords(version=version, digest=digest, items=items, next_page_token=token)


def records_of(
    unit: Unit, dataset: EvaluationDataset, version: int, size: int, token: str
) -> tuple[list[Row], str | None]:
    """Returns one page of the records of a version, and the token of the next page.

    Raises:
        InvalidArgument: the token is not one of this list.
    """
    if token and not (token.startswith("edr_") and token[4:].isalnum()):
        raise InvalidArgument("page_token is not valid for this list. Send next_page_token of the previous page.")
    select = sa.select(RECORD).where(*at(dataset.id, version), RECORD.c.id > token).order_by(RECORD.c.id)
    rows = list(unit.connection.execute(select.limit(size + 1)))
    return rows[:size], rows[size - 1].id if len(rows) > size else None


def version_of(unit: Unit, dataset: EvaluationDataset, query: RecordsQuery) -> tuple[int, str]:
    """Returns the number and the digest of the version that a query names.

    Raises:
        NotFound: there is no such version.
    """
    if query.version is not None and query.digest:
        raise InvalidArgument("Name the version by its number or by its digest, not by both.")
    if query.version is None and query.digest in ("", dataset.status.digest):
        return dataset.status.version, dataset.status.digest
    if query.version == 0 or query.digest == EMPTY:
        return 0, EMPTY
    same = VERSION.c.digest == query.digest if query.digest else VERSION.c.version == query.version
    select = sa.select(VERSION).where(VERSION.c.dataset_id == dataset.id, same).order_by(VERSION.c.version.desc())
    row = unit.connection.execute(select.limit(1)).first()
    if row is None:
        raise NotFound(f"{dataset.name} has no version {query.digest or query.version}.")
    return row.version, row.digest


def _close(unit: Unit, dataset: EvaluationDataset) -> None:
    status = dataset.status
    status.version, status.digest, status.records = close_version(unit, dataset, status.version, status.digest)
