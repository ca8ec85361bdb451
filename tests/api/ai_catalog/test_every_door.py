"""Every operation and protocol that can return values of rows has a door in `doors`, or a reason why it returns none.

An operation can return values if its model has a field of any type, or one that is named like a value, or if it returns
a file. Whether it does is decided here once, when the operation is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from api.kernel.kinds.endpoint import Answer, Endpoint
from api.kernel.kinds.resource_kind import ResourceKind
from tests.api.ai_catalog.doors import (  # noqa: F401 - their doors
    events,
    feature_tables,
    features,
    models,
    runs,
    tables,
    training_sets,
)
from tests.api.ai_catalog.doors.door import DOORS
from tests.api_process import Api
from tests.conformance.operations import ENDPOINTS

VALUES = frozenset(
    (
        *("minimum", "maximum", "mean", "median", "statistic", "top", "rows", "values", "sample"),
        *("error", "message", "text", "content", "excerpt", "snippet", "request_preview", "response_preview"),
    )
)
"""Names of fields that can contain values of rows, whatever their type is."""

FILES = (Answer.ROWS, Answer.FILE, Answer.BINARY)

NO_ROWS = {
    name: reason
    for reason, names in {
        "what authors of prompts and definitions wrote": (
            *("PromptMessage.content", "PromptVersion.response_format", "PromptVersion.settings", "CardText.text"),
            *("Definition.attributes", "DefinitionRevision.attributes", "BranchDefinition.attributes"),
            *(
                "FieldChange.before",
                "FieldChange.after",
                "DefinitionComponent.attributes",
                "Validation.errors",
                "ResourceEvent.resource",
                "TagSpec.values",
            ),
        ),
        "what reviewers and clients wrote": (
            *("TraceAssessment.value", "TraceAssessment.error", "AssessmentError.message"),
            *(f"EvaluationRecord.{name}" for name in ("inputs", "outputs", "expectations", "source")),
        ),
        "errors that no step of a run wrote": ("BatchOutcome.problem", "PipelinePublication.error", "Tick.message"),
        "parameters and measures of whole trainings, evaluations, servers, and times": (
            *("ModelVersion.baseline", "ModelVersion.metrics", "ModelVersion.parameters"),
            *("ComparedValue.values", "StatisticsPoint.values", "GaugeReading.values"),
        ),
        "numbers of rows": ("EvaluationRun.rows", "ThresholdResult.rows", "TableVersion.metrics"),
        "names of assets, versions, columns, and principals": ("Explanation.text", "FoundItem.excerpt"),
        "events without errors of runs, as the door of the list proves": ("AuditEvent.data",),
        "configurations of connections, without secrets": (
            *("ConnectionSpec.config", "ConnectorSchema.config", "StorageCredentialSpec.config"),
        ),
        "rows of systems of others, which no row policy covers, behind `query` and `sample` of the connection": (
            "RemoteRows.rows",
        ),
        "accounts and keys": ("AttestationKeys.keys", "UserStatus.directory"),
    }.items()
    for name in names
}
"""Fields that contain no values of rows, each with whose content they are instead."""

SAME = {
    "admin_get_audit_event": "admin_list_audit_events",
    **dict.fromkeys(("ai_catalog_create_trace", "ai_catalog_update_trace"), "ai_catalog_get_trace"),
    **dict.fromkeys(("ai_catalog_link_trace", "ai_catalog_search_traces"), "ai_catalog_list_traces"),
    "operations_cancel_operation": "operations_get_operation",
    "ai_catalog_list_asset_runs": "ai_catalog_get_asset_run",
    "ai_catalog_cancel_asset_run": "ai_catalog_get_asset_run",
    "ai_catalog_create_lineage_event": "ai_catalog_get_lineage_event",
}
"""Operations that answer with what another one returns, made by the same function."""

NO_ROWS_IN_FILES = {
    "admin_get_organization_contents": "resources and accounts",
    "ai_catalog_get_asset_provenance_export": "names, versions, and times of steps",
    "ai_catalog_get_model_version_download": "files of a model, behind the rule for copies: `readable_files.py`",
}

FACES = {
    "/mlflow": "runs, traces, and artifacts: the functions of the operations, and `readable_files.py` for files",
    "/delta-sharing": "recipients are no callers whom a policy can exempt: `test_restricted_shares.py`",
    "/openlineage": "takes events, and returns none",
    **dict.fromkeys(("/artifact-files", "/artifact-links"), "files, behind the rule for copies: `readable_files.py`"),
    **dict.fromkeys(("/scim", "/oauth", "/access", "/login", "/.well-known"), "accounts and rights"),
}
"""Protocols without a door, each with the reason. `test_dagster_door.py` tests that of the Dagster UI."""


def value_fields(annotation: Any, seen: frozenset[Any] = frozenset()) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return
        for name, one in annotation.model_fields.items():
            if holds_anything(one.annotation) or name in VALUES:
                yield f"{annotation.__name__}.{name}"
            yield from value_fields(one.annotation, seen | {annotation})
    for part in get_args(annotation):
        yield from value_fields(part, seen)


def holds_anything(annotation: Any) -> bool:
    return annotation is Any or annotation in (dict, list) or any(map(holds_anything, get_args(annotation)))


def shows_values(one: Endpoint) -> bool:
    """Whether an operation can return values. An accepted operation has not ended, so it has no error yet."""
    if one.answer in FILES:
        exported = one.verb == "export" and isinstance(one.kind, ResourceKind)
        return not exported and one.operation_id not in NO_ROWS_IN_FILES
    if one.answer is Answer.OPERATION or one.result is None:
        return False
    return any(name not in NO_ROWS for name in value_fields(one.result))


ASKED = {door.of for door in DOORS.values()}


def test_every_operation_that_can_return_values_of_rows_has_a_door() -> None:
    showing = {one.operation_id for one in ENDPOINTS if shows_values(one)}
    assert showing - ASKED - SAME.keys() == set()


def test_no_reason_is_left_of_what_is_gone() -> None:
    known = {name for one in ENDPOINTS if one.result for name in value_fields(one.result)}
    assert NO_ROWS.keys() - known == set()
    operations = {one.operation_id for one in ENDPOINTS}
    assert {*SAME, *NO_ROWS_IN_FILES} - operations == set()
    assert set(SAME.values()) - ASKED == set()
    assert {one for one in ASKED if not one.startswith("/")} - operations == set()


async def test_every_protocol_has_a_door_or_a_reason(api: Api) -> None:
    faces = {"/" + mount.path.split("/")[1] for mount in api.app.registry.mounts if mount.speaks_for}
    assert faces - ASKED - FACES.keys() == set()
    assert FACES.keys() - faces == set()


def test_a_list_or_part_with_a_field_of_any_type_is_found() -> None:
    class Row(BaseModel):
        name: str
        cells: dict[str, Any]

    class Page(BaseModel):
        items: list[Row]

    assert list(value_fields(Page)) == ["Row.cells"]
