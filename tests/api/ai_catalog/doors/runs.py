"""The doors to what runs report about a table: checks, errors, and logs."""

from __future__ import annotations

import dataclasses

from core import clock
from core.reports import CheckEvaluation, CheckStatus, ReportedValue, ValueForm, VersionReport
from core.runs import RunState, RunStatus, StepState, StepStatus
from tests.api.admin.tenants import made
from tests.api.ai_catalog.doors.door import ASSET, COPY, ERROR, MAIL, Ask, asking, door, fake
from tests.api.ai_catalog.pipelines import published, started
from tests.api.ai_catalog.policies import PEOPLE, Office, people
from tests.orchestration import made as materialized
from tests.orchestration import node


def _checked(office: Office) -> None:
    """A run that reported values of rows in a message of a check and in metadata."""
    state = fake(office).states[PEOPLE]
    check = dataclasses.replace(state.checks[1], status=CheckStatus.FAILED, message="Wrong: secret-mail-ada")
    reported = materialized("def@4", **{"delta/version": 4, "most frequent": "secret-mail-ada", "max_id": 4242})
    fake(office).states[PEOPLE] = dataclasses.replace(state, checks=(check,), materialization=reported)


@door("checks and metadata of an asset", "ai_catalog_get_asset", applies=True)
async def asset(office: Office) -> Ask:
    _checked(office)
    return asking("GET", ASSET)


@door("checks and metadata of assets", "ai_catalog_list_assets", applies=True)
async def assets(office: Office) -> Ask:
    _checked(office)
    return asking("GET", "ai-catalog/assets")


@door("report of an asset", "ai_catalog_get_asset_report", applies=True)
async def report(office: Office) -> Ask:
    value = ReportedValue("most frequent", ValueForm.TEXT, MAIL.decode())
    fake(office).reports[PEOPLE] = VersionReport("def@4", clock.now(), "run-0", (value,))
    return asking("GET", f"{ASSET}/report")


@door("evaluations of a check", "ai_catalog_get_asset_evaluations", applies=True)
async def evaluations(office: Office) -> Ask:
    sample = ReportedValue("sample", ValueForm.TABLE, [{"mail": MAIL.decode()}])
    evaluated = CheckEvaluation(CheckStatus.FAILED, clock.now(), "run-0", "def@4", ERROR, (sample,))
    fake(office).evaluated[PEOPLE, "plausible"] = [evaluated]
    return asking("GET", f"{ASSET}/evaluations?check=plausible")


async def _failed(office: Office, asset: str = PEOPLE) -> str:
    """An operation whose run failed with a value in its error and its log."""
    reply = await office.api.admin.post(f"ai-catalog/assets/{asset}:materialize", {})
    assert reply.status == 202, reply.response.text
    (run,) = fake(office).run_states
    fake(office).log(run, ERROR)
    fake(office).end(run, RunStatus.FAILED, error=ERROR)
    return str(reply.json["id"])


@door("error of an operation", "operations_get_operation", applies=True)
async def failure(office: Office) -> Ask:
    return asking("GET", f"operations/{await _failed(office)}")


MAILS = {"assets": [PEOPLE], "masks": [{"column": "mail", "method": "NULL"}]}
"""The policy covers no table that is made from the people."""


@door("error of an operation that reads the table", "operations_get_operation", applies=True, hides=MAILS)
async def failure_of_a_copy(office: Office) -> Ask:
    fake(office).nodes[COPY] = node(COPY, [PEOPLE])
    return asking("GET", f"operations/{await _failed(office, COPY)}")


@door("errors of operations", "operations_list_operations", applies=True)
async def failures(office: Office) -> Ask:
    id = await _failed(office)
    await made(office.api.admin.get(f"operations/{id}"))  # observes the end
    return asking("GET", "operations")


@door("audit log", "admin_list_audit_events", b"operations.operation.failed", applies=True)
async def audit(office: Office) -> Ask:
    await made(office.api.admin.get(f"operations/{await _failed(office)}"))  # observes the end
    return asking("GET", "admin/audit-events")


@door("log of an operation", "operations_get_operation_logs", applies=True)
async def log(office: Office) -> Ask:
    return asking("GET", f"operations/{await _failed(office)}/logs")


async def _asset_run(office: Office) -> str:
    orchestrator, id = fake(office), "failed-run"
    of = {"job": "__ASSET_JOB", "location": "flights", "assets": (PEOPLE,), "created_at": clock.now()}
    orchestrator.run_states[id] = RunState(id, RunStatus.RUNNING, 1, 1, **of)
    orchestrator.step_states[id] = [StepState(PEOPLE.replace(".", "__"), StepStatus.FAILED, error=ERROR)]
    orchestrator.log(id, ERROR)
    orchestrator.end(id, RunStatus.FAILED, error=ERROR)
    return id


@door("error of a run", "ai_catalog_get_asset_run", applies=True)
async def asset_run(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/asset-runs/{await _asset_run(office)}")


@door("errors of the steps of a run", "ai_catalog_get_asset_run_steps", applies=True)
async def asset_run_steps(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/asset-runs/{await _asset_run(office)}/steps")


@door("log of a run", "ai_catalog_get_asset_run_logs", refusal=(403, "ai_catalog.asset.preview"))
async def asset_run_log(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/asset-runs/{await _asset_run(office)}/logs")


@door("audit log as a file", "admin_export_audit_events", b"operations.operation.failed", applies=True)
async def audit_export(office: Office) -> Ask:
    await made(office.api.admin.get(f"operations/{await _failed(office)}"))  # observes the end
    return asking("GET", "admin/audit-events:export")


async def _pipeline_run(office: Office) -> str:
    orchestrator = fake(office)
    orchestrator.nodes[COPY] = node(COPY, [PEOPLE], location="published")
    office.tables.overwrite(COPY, people())
    await started(office.api.editor, (await published(office.api, assets=[COPY]))["id"])
    (run,) = orchestrator.run_states
    orchestrator.step_states[run] = [StepState(COPY.replace(".", "__"), StepStatus.FAILED, error=ERROR)]
    orchestrator.log(run, ERROR)
    orchestrator.end(run, RunStatus.FAILED, error=ERROR)
    return run


@door("errors of the steps of a pipeline", "ai_catalog_get_pipeline_run_steps", applies=True)
async def pipeline_steps(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/pipeline-runs/{await _pipeline_run(office)}/steps")


@door("log of a pipeline", "ai_catalog_get_pipeline_run_logs", refusal=(403, "ai_catalog.asset.preview"))
async def pipeline_log(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/pipeline-runs/{await _pipeline_run(office)}/logs")
