"""The asset graph as one caller sees it: nothing hidden is in it, nor named by what is."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from api.kernel.permissions import graph
from api.kernel.permissions.access import READ_AUDIT_LOG, Access
from api.kernel.permissions.graph import READ_ASSET, GraphWithoutAudit, visible_graph
from api.kernel.permissions.projects import Projects
from api.kernel.permissions.rule import Rule
from api.kernel.roles import Role
from api.kernel.securable import ROOT, Securable
from core.ports import AssetState, Automation, GraphView, Staleness
from tests.orchestration import node

CLAIM, THEIRS, AUDIT = "mine.a.x", "theirs.a.x", "platform.audit.events"
OTHER = "mine.a.y"
PLACES = {
    "mine": Securable("admin.project", "prj_mine", "org", "prj_mine"),
    "theirs": Securable("admin.project", "prj_theirs", "org", "prj_theirs"),
}
PERMISSIONS = {READ_ASSET: Role.VIEWER, READ_AUDIT_LOG: Role.ADMIN}


def automation(id: str, *assets: str) -> Automation:
    return Automation(id, "", True, "job", assets, "location", "repository")


@pytest.fixture
def view() -> GraphView:
    everything = (CLAIM, OTHER, THEIRS, AUDIT)
    nodes = {id: node(id, everything, together=tuple(everything), compared_with=tuple(everything)) for id in everything}
    return GraphView(
        nodes=nodes,
        states={id: AssetState(Staleness.FRESH) for id in everything},
        downstream=dict.fromkeys(everything, everything),
        schedules={"all": automation("all", *everything), "mine": automation("mine", CLAIM, OTHER)},
        sensors={"theirs": automation("theirs", CLAIM, THEIRS), "none": automation("none")},
        locations={},
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
        stale_since=datetime(2026, 1, 2, tzinfo=UTC),
    )


def place(platform: Any, id: str, kind: str = graph.ASSET) -> Securable:
    found = PLACES.get(id.partition(".")[0], ROOT)
    return Securable(kind, id, found.organization_id, found.project_id)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(graph, "asset_securable", place)
    parts = {GraphWithoutAudit: GraphWithoutAudit(None)}  # type: ignore[arg-type] - it needs no platform
    return SimpleNamespace(part=lambda wanted: parts.get(wanted) or Projects)


def access(*places: Securable, role: Role = Role.VIEWER) -> Access:
    rules = [
        Rule(
            *("gra", "usr", "", one.id, one.kind, False, role),
            organization_id=one.organization_id,
            project_id=one.project_id,
        )
        for one in places
    ]
    return Access(rules, PERMISSIONS)


def named(view: GraphView) -> set[str]:
    """Every asset that is in the view in whatever way."""
    found = {*view.nodes, *view.states, *view.downstream}
    for fars in view.downstream.values():
        found.update(fars)
    for one in view.nodes.values():
        found.update((*one.upstream, *one.together, *one.compared_with))
    for automations in (view.schedules, view.sensors):
        for one in automations.values():
            found.update(one.assets)
    return found


def test_who_sees_one_project_is_told_of_nothing_else(platform: Any, view: GraphView) -> None:
    seen = visible_graph(platform, access(PLACES["mine"]), view)
    assert named(seen) == {CLAIM, OTHER}
    for field in ("nodes", "states", "downstream"):
        assert set(getattr(seen, field)) == {CLAIM, OTHER}
    for field in ("upstream", "together", "compared_with"):
        assert getattr(seen.nodes[CLAIM], field) == (CLAIM, OTHER)
    assert (set(seen.schedules), set(seen.sensors)) == ({"mine"}, set()), "only what launches nothing else"
    assert (seen.observed_at, seen.stale_since) == (view.observed_at, view.stale_since)


def test_who_sees_everything_but_the_audit_trail_is_not_told_of_it(platform: Any, view: GraphView) -> None:
    seen = visible_graph(platform, access(ROOT), view)
    assert named(seen) - {AUDIT} == {CLAIM, OTHER, THEIRS}
    assert AUDIT not in {*seen.nodes, *seen.states, *seen.downstream}
    assert {AUDIT}.isdisjoint(seen.schedules["all"].assets)
    for one in seen.nodes.values():
        assert {AUDIT}.isdisjoint((*one.upstream, *one.together, *one.compared_with))
    assert (set(seen.schedules), set(seen.sensors)) == (set(view.schedules), set(view.sensors))
    assert visible_graph(platform, access(ROOT), view) is seen, "made once for each view"
    newer = dataclasses.replace(view, nodes={CLAIM: view.nodes[CLAIM]})
    assert set(visible_graph(platform, access(ROOT), newer).nodes) == {CLAIM}


def test_who_oversees_all_sees_the_graph_as_it_is(platform: Any, view: GraphView) -> None:
    assert visible_graph(platform, access(ROOT, role=Role.ADMIN), view) is view


def test_who_sees_nothing_sees_no_name(platform: Any, view: GraphView) -> None:
    seen = visible_graph(platform, access(), view)
    assert (named(seen), seen.schedules, seen.sensors) == (set(), {}, {})
