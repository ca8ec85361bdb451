"""The check of a contract as GraphQL returns it: only an asset with a contract shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from api.gateways.dagster.check_parsing import check_state, concerns
from core.ports import Materialization
from core.reports import CheckStatus

VERSION = Materialization("t@1", datetime(2026, 3, 1, tzinfo=UTC), "run-1", None, {})


def answer(status: str | None, name: str = "Contract", **metadata: str) -> dict[str, Any]:
    entries = [{"label": label.replace("__", "/"), "text": text} for label, text in metadata.items()]
    evaluation = {"description": "Said.", "severity": "ERROR", "metadataEntries": entries}
    execution = {"status": status, "timestamp": 1.0, "runId": "run-1", "evaluation": evaluation}
    found = execution if status else None
    return {"name": name, "description": "", "blocking": True, "executionForLatestMaterialization": found}


def test_an_evaluated_contract_is_a_check() -> None:
    stamped = {"headwater__data_version": "t@1", "headwater__contract": "ctr_1"}
    for status, expected in (("SUCCEEDED", CheckStatus.PASSED), ("FAILED", CheckStatus.FAILED)):
        state = check_state(answer(status, **stamped), VERSION)
        assert (state.status, concerns(state)) == (expected, True)


def test_an_asset_without_a_contract_has_no_such_check() -> None:
    assert not concerns(check_state(answer("SUCCEEDED", headwater__data_version="t@1"), VERSION))
    assert not concerns(check_state(answer(None), VERSION))
    assert concerns(check_state(answer(None, name="unique_id"), VERSION))
