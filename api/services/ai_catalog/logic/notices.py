"""What there is to tell about an asset, a registered model, or a pipeline since it was told last.

A state is a JSON document. Two states of a target are compared; each difference is a notice. Notices name versions and
runs. They contain no messages of runs or checks, because those can contain values of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import RESOURCE
from api.services.ai_catalog.model_tables import MODEL_VERSION
from core.contracts import CONTRACT, CONTRACT_VIOLATION, ContractState
from core.ports import GraphView
from core.reports import CheckStatus
from core.runs import RunState, RunStatus


class NoticeType(StrEnum):
    """What a notice is about.

    `NEW_VERSION`: a new version of an asset or a model. `FAILED`: a run that failed to produce an asset, or of a
    pipeline. `SUCCEEDED`: a run of a pipeline. `CHECK_FAILED`: checks of the newest version of an asset. `CONTRACT`:
    another version of the contract of an asset is active. `CONTRACT_BROKEN`: a version broke it. `ALIAS`: an alias of a
    model names another version.
    """

    NEW_VERSION = "NEW_VERSION"
    FAILED = "FAILED"
    SUCCEEDED = "SUCCEEDED"
    CHECK_FAILED = "CHECK_FAILED"
    CONTRACT = "CONTRACT"
    CONTRACT_BROKEN = "CONTRACT_BROKEN"
    ALIAS = "ALIAS"


NOTICES_OF: Mapping[str, frozenset[NoticeType]] = {
    "asset": frozenset(
        {
            NoticeType.NEW_VERSION,
            NoticeType.FAILED,
            NoticeType.CHECK_FAILED,
            NoticeType.CONTRACT,
            NoticeType.CONTRACT_BROKEN,
        }
    ),
    "registered_model_id": frozenset({NoticeType.NEW_VERSION, NoticeType.ALIAS}),
    "pipeline_id": frozenset({NoticeType.FAILED, NoticeType.SUCCEEDED}),
}
"""What there is to tell, by the column of the target."""

_NAMES = {
    "version": NoticeType.NEW_VERSION,
    "failed_run": NoticeType.FAILED,
    "failed_checks": NoticeType.CHECK_FAILED,
    "contract": NoticeType.CONTRACT,
    "violation": NoticeType.CONTRACT_BROKEN,
}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell a subscriber."""

    type: NoticeType
    detail: str
    """A version, a run, or what an alias names."""


def state_of(
    connection: Connection,
    view: GraphView,
    now: datetime,
    *,
    asset: str | None,
    registered_model_id: str | None,
    pipeline_id: str | None,
) -> dict[str, Any]:
    """Returns the state of a target. That of a pipeline is the time until which its runs were told."""
    if asset is not None:
        return _asset_state(connection, view, asset)
    if registered_model_id is not None:
        return _model_state(connection, registered_model_id)
    return {"until": now.isoformat()}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Notice]:
    """Returns what there is to tell about an asset or a model. What ended, such as a contract, is nothing to tell."""
    found = [
        Notice(type, str(after[name]))
        for name, type in _NAMES.items()
        if after.get(name) and after[name] != before.get(name)
    ]
    aliases, earlier = after.get("aliases", {}), before.get("aliases", {})
    moved = sorted(name for name in aliases if aliases[name] != earlier.get(name))
    return [*found, *(Notice(NoticeType.ALIAS, f"{name}: version {aliases[name]}") for name in moved)]


def of_runs(runs: Sequence[RunState], until: datetime) -> tuple[list[Notice], datetime]:
    """Returns what there is to tell about runs of a pipeline that ended after a time, and until when it is told."""
    ended = sorted((run for run in runs if run.ended_at and run.ended_at > until), key=lambda run: str(run.ended_at))
    types = {RunStatus.SUCCEEDED: NoticeType.SUCCEEDED, RunStatus.FAILED: NoticeType.FAILED}
    notices = [Notice(types[run.status], run.id) for run in ended if run.status in types]
    return notices, max([until, *(run.ended_at for run in ended if run.ended_at)])


def _asset_state(connection: Connection, view: GraphView, asset: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    state = view.states.get(asset)
    if state is not None:
        version = state.materialization.data_version if state.materialization else None
        failed = state.last_run is not None and state.last_run.status is RunStatus.FAILED
        checks = sorted(check.name for check in state.checks if check.status is CheckStatus.FAILED)
        found["version"] = version
        found["failed_run"] = state.last_run.id if state.last_run and failed else None
        found["failed_checks"] = f"{', '.join(checks)} of {version}" if checks else None
    active = CONTRACT.c.asset == asset, CONTRACT.c.state == ContractState.ACTIVE.value
    contract = connection.execute(sa.select(CONTRACT.c.id, CONTRACT.c.version).where(*active)).first()
    found["contract"] = f"version {contract.version}" if contract else None
    broken = sa.select(CONTRACT_VIOLATION.c.data_version).join(
        CONTRACT, CONTRACT.c.id == CONTRACT_VIOLATION.c.contract_id
    )
    newest = broken.where(CONTRACT.c.asset == asset).order_by(CONTRACT_VIOLATION.c.at.desc()).limit(1)
    return {**found, "violation": connection.execute(newest).scalar()}


def _model_state(connection: Connection, model: str) -> dict[str, Any]:
    newest = sa.select(sa.func.max(MODEL_VERSION.c.version)).where(
        MODEL_VERSION.c.registered_model_id == model, MODEL_VERSION.c.deleted_at.is_(None)
    )
    status = connection.execute(sa.select(RESOURCE.c.status).where(RESOURCE.c.id == model)).scalar() or {}
    return {"version": connection.execute(newest).scalar(), "aliases": dict(status.get("aliases", {}))}


def wanted(notices: Iterable[Notice], types: Iterable[str]) -> list[Notice]:
    """Returns the notices that a subscriber wants."""
    chosen = set(types)
    return [notice for notice in notices if notice.type.value in chosen]
