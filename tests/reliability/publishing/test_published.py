"""Real processes: a published definition is an asset within seconds, and a bad one harms nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from api.gateways.dagster.orchestrator import DagsterOrchestrator
from api.gateways.publishing import DefinitionPublisher
from core import clock, leases, publications
from core.definitions import ASSET_CLAIM, DEFINITION, state_key
from core.errors import Conflict, InvalidPayload, NotFound, Unavailable
from core.publisher import Candidate, PublishRequest
from tests.dagster_processes import ROOT, listens, until
from tests.reliability.publishing.desk import ANN, INPUT, SQL, Desk, every_asset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SAMPLE = yaml.safe_load((ROOT / "dagster_project" / "samples" / "daily_cancellations.yaml").read_text())


class TestPublish:
    @pytest.mark.effect("ai_catalog_publish_definition")
    def test_it_is_an_asset_within_seconds_and_without_a_restart(self, desk: Desk) -> None:
        code_server = desk.platform.processes["code-published"].pid
        first = desk.publish(desk.write("flights.gold.first"))
        second = desk.publish(desk.write("flights.gold.second"))
        assert {"flights.gold.first", "flights.gold.second"} <= desk.visible_assets().keys()
        assert desk.platform.processes["code-published"].pid == code_server
        print(f"\nfirst of a project {first:.2f} s, next {second:.2f} s")

    def test_the_sample_definition(self, desk: Desk) -> None:
        desk.publish(desk.write(**SAMPLE["attributes"]))
        tags = desk.visible_assets()["flights.gold.daily_cancellations"]
        assert "headwater/error" not in tags

    def test_a_second_project_has_a_state_of_its_own(self, desk: Desk) -> None:
        desk.publish(desk.write("sales.gold.orders"))
        versions = desk.state(do="show")["versions"]
        assert {state_key("sales"), state_key("flights")} <= versions.keys()
        assert {"sales.gold.orders", "flights.gold.first"} <= desk.visible_assets().keys()

    def test_after_a_restart_of_the_code_server_everything_is_there(self, desk: Desk) -> None:
        before = desk.visible_assets()
        desk.platform.kill("code-published")
        desk.platform.start("code-published")
        # The webserver shows what it last saw while the server is away, so the server itself is asked.
        until(lambda: listens(desk.platform.settings.published_code_server_port), 120, "code server")
        desk.reload()
        until(desk.platform.ready, 120, "webserver")
        assert desk.visible_assets() == before
        desk.publish(desk.write("sales.gold.more"))
        assert desk.visible_assets().keys() == before.keys() | {"sales.gold.more"}

    def test_the_daemon_sees_it_too(self, desk: Desk) -> None:
        query = """{sensorsOrError(
            repositorySelector:{repositoryLocationName:"published",repositoryName:"__repository__"}){
            ... on Sensors{results{name sensorState{status ticks(limit:1){status}}}}}}"""

        def ticked() -> bool:
            sensors = desk.platform.graphql(query)["sensorsOrError"]["results"]
            return any(sensor["sensorState"]["ticks"] for sensor in sensors if sensor["name"] == "published_automation")

        until(ticked, 240, "a tick of the automation of published assets")

    def test_an_edit_changes_the_next_run(self, desk: Desk) -> None:
        desk.publish(desk.write("flights.gold.edited"))
        version = desk.state(do="show")["versions"][state_key("flights")]
        desk.publish(desk.write("flights.gold.edited", sql=SQL + " HAVING count(*) > 3"))
        assert desk.state(do="show")["versions"][state_key("flights")] != version


class TestGuards:
    """Each of the five is seen to bite."""

    def test_1_two_definitions_cannot_make_one_asset(self, desk: Desk) -> None:
        desk.publish(desk.write("flights.gold.taken"))
        with pytest.raises(sa.exc.IntegrityError), desk.database.write() as connection:
            connection.execute(
                ASSET_CLAIM.insert().values(asset_id="flights.gold.taken", location="published", definition="other")
            )
        thief, both = desk.write("flights.gold.thief"), ["flights.gold.thief", "flights.gold.taken"]
        with (
            pytest.raises(Conflict, match=r"produced by the definition flights\.gold\.taken"),
            desk.database.write() as connection,
        ):
            publications.activate(connection, desk.candidate(thief), assets=both, reads=[], code_assets={}, **ANN)

    def test_1_nor_an_asset_of_the_code(self, desk: Desk) -> None:
        error = desk.refused(desk.write("flights.gold.route_delays"), InvalidPayload)
        assert "The code of the repository already defines the asset" in str(error)
        with desk.database.write() as connection, pytest.raises(Conflict, match="produced by code in flights"):
            publications.activate(
                connection,
                desk.candidate("flights.gold.route_delays"),
                assets=["flights.gold.route_delays"],
                code_assets={"flights.gold.route_delays": "flights"},
                reads=[],
                **ANN,
            )

    @pytest.mark.parametrize(
        ("attributes", "pointer", "reason"),
        [
            ({"sql": "DROP TABLE x"}, "/attributes/sql", ""),
            ({"nonsense": 1}, "/attributes/nonsense", "Extra inputs"),
            ({"automation": "whenever"}, "/attributes/automation", "neither"),
            ({"sql": "SELECT * FROM flights.gold.bad"}, "/attributes", "must read"),
        ],
    )
    def test_2_a_bad_candidate_is_refused_with_the_reason(
        self, desk: Desk, attributes: dict[str, Any], pointer: str, reason: str
    ) -> None:
        before, version = desk.visible_assets(), desk.state(do="show")["versions"]
        error = desk.refused(desk.write("flights.gold.bad", **attributes), InvalidPayload)
        assert error.errors[0]["pointer"].startswith(pointer)
        assert reason in str(error)
        assert desk.visible_assets() == before
        assert desk.state(do="show")["versions"] == version

    def test_2_a_circle_is_refused_for_the_definition_that_closes_it(self, desk: Desk) -> None:
        desk.publish(desk.write("flights.gold.alpha"))
        desk.publish(desk.write("flights.gold.beta", sql="SELECT * FROM flights.gold.alpha"))
        error = desk.refused(desk.write("flights.gold.alpha", sql="SELECT * FROM flights.gold.beta"), InvalidPayload)
        assert "input of itself" in str(error)
        assert "headwater/error" not in desk.visible_assets()["flights.gold.alpha"]

    def test_3_a_broken_row_is_an_inert_asset_and_the_others_live(self, desk: Desk) -> None:
        desk.publish(desk.write("flights.gold.sound"))
        with desk.database.write() as connection:  # past every check, as a bug or a hand in the database would
            broken = {"asset": "flights.gold.rotten", "description": "x", "sql": "nothing at all"}
            connection.execute(
                DEFINITION.insert().values(
                    asset_id="flights.gold.rotten",
                    project="flights",
                    component="SqlTransformComponent",
                    attributes=broken,
                    published_component="SqlTransformComponent",
                    published_attributes=broken,
                    published_at=clock.now(),
                    published_by="eve",
                    revision=1,
                    created_at=clock.now(),
                    created_by="eve",
                    updated_at=clock.now(),
                )
            )
        try:
            desk.publish(desk.write("flights.gold.after"))
            visible_assets = desk.visible_assets()
            assert visible_assets["flights.gold.rotten"]["headwater/error"] == "INVALID_PAYLOAD"
            assert "headwater/error" not in visible_assets["flights.gold.sound"]
            assert "headwater/error" not in visible_assets["flights.gold.after"]
        finally:
            with desk.database.write() as connection:
                connection.execute(DEFINITION.delete().where(DEFINITION.c.asset_id == "flights.gold.rotten"))
        desk.publish("flights.gold.after")
        assert "flights.gold.rotten" not in desk.visible_assets()

    def test_a_blocked_one_is_an_inert_asset_until_it_is_free_again(self, desk: Desk) -> None:
        asset, other = desk.write("flights.gold.withheld"), desk.write("flights.gold.untouched")
        desk.publish(asset)
        desk.publish(other)

        async def act(publisher: DefinitionPublisher, orchestrator: DagsterOrchestrator) -> bool:
            await publisher.reconcile()
            await orchestrator.refresh()
            return orchestrator.view().nodes[asset].executable

        for why, executable in (("ann may no longer read it.", False), (None, True)):
            with desk.database.write() as connection:
                connection.execute(DEFINITION.update().where(DEFINITION.c.asset_id == asset).values(blocked=why))
            assert desk.with_publisher(act) is executable
            visible_assets = desk.visible_assets()
            assert visible_assets[asset].get("headwater/error") == (None if executable else "BLOCKED")
            assert "headwater/error" not in visible_assets[other]

    def test_4_a_version_that_does_not_load_gives_way_to_the_last_good_one(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.publish(desk.write("flights.gold.good"))
        before = desk.visible_assets()
        good = desk.state(do="show")["versions"][state_key("flights")]
        asset = desk.write("flights.gold.unlucky")
        spoil = _spoiling(desk)

        async def act(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> None:
            monkeypatch.setattr(publisher._location, "verify", spoil(publisher))
            await publisher.publish(PublishRequest(asset, **ANN, request_id="req_1", readable=every_asset))

        with pytest.raises(InvalidPayload, match="nothing was changed"):
            desk.with_publisher(act)
        assert desk.row(asset).published_attributes is None
        assert desk.state(do="show")["versions"][state_key("flights")] == good
        assert desk.visible_assets() == before
        desk.publish(asset)
        assert asset in desk.visible_assets()

    def test_5_publications_at_once_wait_for_each_other_and_none_is_lost(self, desk: Desk) -> None:
        assets = [desk.write(f"flights.gold.parallel_{number}") for number in range(3)]

        async def act(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> None:
            await asyncio.gather(
                *(
                    publisher.publish(PublishRequest(asset, **ANN, request_id=asset, readable=every_asset))
                    for asset in assets
                )
            )

        desk.with_publisher(act)
        assert set(assets) <= desk.visible_assets().keys()

    def test_5_a_lease_somebody_else_holds_is_waited_for_and_a_dead_holder_loses_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("api.gateways.publishing._WAIT_SECONDS", 0.3)
        assert leases.acquire(desk.database, "publish", "another process", 60)
        error = desk.refused(desk.write("flights.gold.waiting"), Conflict)
        assert "in progress" in str(error)
        leases.release(desk.database, "publish", "another process")
        assert leases.acquire(desk.database, "publish", "a dead process", 0.1)
        desk.publish("flights.gold.waiting")


def _spoiling(desk: Desk) -> Any:
    """A look at the result that first makes the newest version unreadable, so that the location cannot load it."""

    def spoil(publisher: DefinitionPublisher) -> Any:
        look = publisher._location.verify

        async def verify(project: str, version: str, *asset: Any) -> None:
            folder = desk.platform.settings.dagster_home / "defs_state"
            next(folder.glob(f"*{project}*/{version}")).write_text("{ not json")
            await asyncio.to_thread(desk.reload)
            await look(project, version, *asset)

        return verify

    return spoil


class TestFaults:
    def test_an_unknown_definition(self, desk: Desk) -> None:
        with pytest.raises(NotFound):
            desk.publish("flights.gold.nowhere")

    def test_validating_publishes_nothing(self, desk: Desk) -> None:
        content = {"asset": "flights.gold.only_looked", "description": "x", "sql": SQL}

        async def act(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> Any:
            sql, unknown = (
                Candidate("flights.gold.only_looked", component, content)
                for component in ("SqlTransformComponent", "NoSuchComponent")
            )
            return (
                await publisher.validate(sql, readable=every_asset),
                await publisher.validate(unknown, readable=every_asset),
                await publisher.validate(sql, readable=lambda asset: asset != INPUT),
            )

        sound, unknown, hidden = desk.with_publisher(act)
        assert (sound.errors, sound.changes) == ([], [])
        assert [fault["detail"] for fault in hidden.errors] == [
            f"reads {INPUT}, which is no asset whose rows you may read"
        ]
        assert unknown.errors[0]["pointer"] == "/component"
        assert "flights.gold.only_looked" not in desk.visible_assets()

    def test_without_a_zygote_it_takes_longer_and_works(self, desk: Desk) -> None:
        desk.platform.kill("zygote")
        try:
            desk.publish(desk.write("flights.gold.cold"))
            assert "flights.gold.cold" in desk.visible_assets()
        finally:
            desk.platform.start("zygote")

    def test_without_dagster_nothing_is_published(self, desk: Desk) -> None:
        asset = desk.write("flights.gold.in_the_dark")

        async def act(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> None:
            desk.platform.kill("webserver")
            await publisher.publish(PublishRequest(asset, **ANN, request_id="req_1", readable=every_asset))

        try:
            with pytest.raises(Unavailable):
                desk.with_publisher(act)
            assert desk.row(asset).published_attributes is None
        finally:
            desk.platform.start("webserver")
            until(desk.platform.ready, 90, "webserver")
        desk.publish(asset)

    def test_a_crash_between_row_and_refresh_is_made_good_at_the_next_start(self, desk: Desk) -> None:
        asset = desk.write("flights.gold.half_way")
        with desk.database.write() as connection:  # all that a killed API had done
            publications.activate(
                connection, desk.candidate(asset), assets=[asset], reads=[INPUT], code_assets={}, **ANN
            )
        assert asset not in desk.visible_assets()

        desk.reconcile()
        assert asset in desk.visible_assets()


def test_runs_of_published_assets_start_warm_and_keep_the_version_they_were_planned_with(desk: Desk) -> None:
    asset = desk.write("flights.gold.run_me", sql="SELECT * FROM flights.silver.planes")
    desk.publish(asset)
    run_id = desk.platform.launch(asset.split("."), location="published")
    # There are no planes in this lakehouse: what counts is that the run was the right definition's, and warm.
    assert desk.platform.finish(run_id, 120) == "FAILURE"
    assert "headwater/worker" in desk.platform.tags(run_id)
    query = """query($i:ID!){logsForRun(runId:$i){... on EventConnection{events{
        ... on ExecutionStepFailureEvent{error{message causes{message}}}}}}}"""
    events = desk.platform.graphql(query, i=run_id)["logsForRun"]["events"]
    assert "flights__gold__run_me" in json.dumps(events)
    until(lambda: _held(desk) == desk.state(do="show")["versions"][state_key("flights")], 60, "the zygote's new state")


def _held(desk: Desk) -> str:
    from dagster_project.zygote import wire

    with wire.connect(desk.platform.settings.run_dir, 60) as connection:
        wire.send(connection, {"op": "status"})
        return str(wire.receive(connection)["state"].get(state_key("flights"), ""))
