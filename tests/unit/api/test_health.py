"""Health never says more than is known.

The kind: an absent fact (a check without an evaluation, a version without a run) counted as a good one.
"""

from __future__ import annotations

import dataclasses
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from api.gateways.dagster.check_parsing import check_state, from_history
from api.services.ai_catalog.logic.health import Health, assess
from core.definitions import ERROR_TAG, RETIRED_TAG
from core.ports import AssetState, CheckState, StaleCause, Staleness
from core.reports import CheckStatus
from core.runs import RunStatus, RunSummary
from tests.orchestration import AT, made, node

NODE = node("p.s.a")
CHECKS = st.lists(
    st.builds(
        CheckState,
        name=st.sampled_from(("one", "two", "three")),
        description=st.just(""),
        blocking=st.booleans(),
        status=st.sampled_from(CheckStatus),
    ),
    max_size=4,
)
RUN = st.none() | st.builds(RunSummary, st.just("run-9"), st.sampled_from(RunStatus), st.just(AT), st.just(AT))
STATES = st.builds(
    AssetState,
    staleness=st.sampled_from(Staleness),
    causes=st.just((StaleCause("p.s.b", "DATA", "has a new version", "p.s.c"),)),
    materialization=st.none() | st.just(made("t@1")),
    checks=CHECKS.map(tuple),
    last_run=RUN,
    runs_in_progress=st.sampled_from(((), ("run-7",))),
)


@settings(deadline=None)
@given(STATES)
def test_healthy_means_that_everything_is_known_and_good(state: AssetState) -> None:
    health, reasons = assess(NODE, state)
    assert (health is Health.HEALTHY) == (not reasons)
    if health is Health.HEALTHY:
        assert state.materialization is not None
        assert {check.status for check in state.checks} <= {CheckStatus.PASSED}
        assert state.staleness is not Staleness.STALE
        assert not state.runs_in_progress


@settings(deadline=None)
@given(STATES, st.sampled_from((ERROR_TAG, RETIRED_TAG)))
def test_what_cannot_be_made_is_never_good_for_want_of_checks(state: AssetState, tag: str) -> None:
    """Its definition is retired, blocked or broken, so that no check is left in the graph to speak against it."""
    health, reasons = assess(dataclasses.replace(NODE, executable=False, tags={tag: "x"}), state)
    assert health is (Health.UNKNOWN if tag == RETIRED_TAG else Health.DEGRADED)
    assert reasons


def test_each_state_is_told_with_its_reason_and_the_graver_one_wins() -> None:
    facts = {
        Health.DEGRADED: {"status": CheckStatus.FAILED},
        Health.RUNNING: {"status": CheckStatus.RUNNING},
        Health.UNCHECKED: {"status": CheckStatus.NOT_RUN},
        Health.WARNING: {"status": CheckStatus.WARNED},
    }
    order = list(facts)
    words = {
        Health.DEGRADED: "check one failed",
        Health.RUNNING: "check one is running",
        Health.UNCHECKED: "check one was not evaluated for this version",
        Health.WARNING: "check one warns",
    }
    for first, second in product(facts, repeat=2):
        checks = (CheckState("one", "", True, **facts[first]), CheckState("two", "", True, **facts[second]))
        state = AssetState(Staleness.STALE, materialization=made("t@1"), checks=checks)
        health, reasons = assess(NODE, state)
        assert health is min(first, second, key=order.index)
        if order.index(first) <= order.index(second):
            assert words[first] in reasons
    stale = AssetState(Staleness.STALE, (StaleCause("p.s.b", "DATA", "has new data", None),), made("t@1"))
    assert assess(NODE, stale) == (Health.STALE, ["p.s.b: has new data"])
    assert assess(NODE, dataclasses.replace(stale, staleness=Staleness.FRESH)) == (Health.HEALTHY, [])


def execution(status: str, judged: str | None, **evaluation: object) -> dict[str, object]:
    entries = [{"label": "headwater/data_version", "text": judged}] if judged else []
    found = {"success": status == "SUCCEEDED", "severity": "ERROR", "description": "", "metadataEntries": entries}
    return {"runId": "r", "status": status, "timestamp": 1.0, "evaluation": found if judged else None, **evaluation}


def test_an_evaluation_counts_for_the_version_it_judged_and_for_no_other() -> None:
    version = made("t@2")
    raw = {"name": "gate", "description": "", "blocking": True}
    of_this = check_state({**raw, "executionForLatestMaterialization": execution("SUCCEEDED", "t@2")}, version)
    of_another = check_state({**raw, "executionForLatestMaterialization": execution("SUCCEEDED", "t@1")}, version)
    none = check_state({**raw, "executionForLatestMaterialization": None}, version)
    assert (of_this.status, of_this.data_version) == (CheckStatus.PASSED, "t@2")
    assert of_another.status is none.status is CheckStatus.NOT_RUN
    history = [execution("SKIPPED", None), execution("FAILED", "t@1"), execution("SUCCEEDED", "t@2")]
    assert from_history(none, history, version).status is CheckStatus.PASSED
    assert from_history(none, history[:2], version).status is CheckStatus.NOT_RUN
