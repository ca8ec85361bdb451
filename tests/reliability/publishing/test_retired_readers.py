"""Real processes: what reads a retired definition, and what a crash leaves of a retirement.

The kind: a retirement that only some of its readers or of the processes take part in.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.gateways.dagster.orchestrator import DagsterOrchestrator
from api.gateways.publishing import DefinitionPublisher
from core import publications
from core.errors import Conflict, HeadwaterError, InvalidPayload, Unavailable
from core.publisher import Candidate, PublishRequest, RetireRequest
from tests.dagster_processes import until
from tests.reliability.publishing.desk import ANN, INPUT, Desk, every_asset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class TestReaders:
    def test_a_reader_keeps_it_and_no_reader_comes_after_it(self, desk: Desk) -> None:
        asset, reader = desk.write("flights.gold.retire_read"), "flights.gold.retire_reader"
        desk.publish(asset)
        desk.publish(desk.write(reader, sql=f"SELECT * FROM {asset}"))
        with pytest.raises(Conflict, match=reader):
            desk.retire(asset)
        assert (desk.shown_as(asset), desk.row(asset).retired_at) == ("LIVE", None)
        desk.retire(reader)
        desk.retire(asset)
        late = desk.write("flights.gold.retire_late", sql=f"SELECT * FROM {asset}")
        error = desk.refused(late, InvalidPayload)
        assert error.errors[0]["detail"] == f"reads {asset}, which is retired; reinstate it, or read another asset"
        with pytest.raises(InvalidPayload, match="which is retired"):
            desk.reinstate(reader)

        async def blindly(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> Any:
            request = PublishRequest(late, **ANN, request_id="req_1", readable=lambda name: name != asset)
            with pytest.raises(InvalidPayload) as caught:
                await publisher.publish(request)
            return caught.value.errors

        (expected,) = desk.with_publisher(blindly)
        assert expected["detail"] == f"reads {asset}, which is no asset whose rows you may read"

    def test_publishing_a_reader_races_retiring_what_it_reads(self, desk: Desk) -> None:
        for number in range(3):
            asset, reader = f"flights.gold.retire_race_{number}", f"flights.gold.retire_racer_{number}"
            desk.publish(desk.write(asset))
            desk.write(reader, sql=f"SELECT * FROM {asset}")

            async def race(publisher: DefinitionPublisher, _: Any, asset: str = asset, reader: str = reader) -> Any:
                publishing = publisher.publish(PublishRequest(reader, **ANN, request_id="req_1", readable=every_asset))
                retiring = publisher.retire(RetireRequest(asset, "ann", "req_2", every_asset))
                return await asyncio.gather(publishing, retiring, return_exceptions=True)

            outcomes = desk.with_publisher(race)
            assert [isinstance(outcome, HeadwaterError) for outcome in outcomes].count(True) == 1, outcomes
            states = desk.shown_as(asset), desk.shown_as(reader)
            assert states in [("LIVE", "LIVE"), ("RETIRED", "GONE")]


class TestFaults:
    @pytest.mark.parametrize("step", ["retire", "reinstate", "delete"])
    @pytest.mark.parametrize("written", [False, True], ids=["row", "row and version"])
    def test_a_kill_between_the_steps_is_healed_at_the_next_start(self, desk: Desk, step: str, written: bool) -> None:
        """In a separate project, so that the last definition of a project goes too."""
        project = f"{step}_{'late' if written else 'early'}"
        asset = desk.write(f"{project}.gold.only")
        desk.publish(asset)
        if step != "retire":
            desk.retire(asset)
        before = desk.shown_as(asset)
        with desk.database.write() as connection:  # all that a killed API had done
            if step == "retire":
                publications.retire(connection, asset, principal="ann")
            elif step == "reinstate":
                candidate = Candidate(asset, "SqlTransformComponent", desk.row(asset).published_attributes)
                options = {"assets": [asset], "reads": [INPUT], "code_assets": {}, "reinstates": True}
                publications.activate(connection, candidate, **options, **ANN)
            else:
                publications.remove(connection, asset)
        if written:
            desk.state(do="write", project=project)
        assert desk.shown_as(asset) == before
        desk.reconcile()
        assert desk.shown_as(asset) == {"retire": "RETIRED", "reinstate": "LIVE", "delete": "GONE"}[step]

    def test_what_does_not_load_leaves_it_live(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        asset = desk.write("flights.gold.retire_unlucky")
        desk.publish(asset)
        before = desk.row(asset)

        async def act(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> None:
            look = publisher._location.verify

            async def spoiled(project: str, version: str, *asset: Any) -> None:
                folder = desk.platform.settings.dagster_home / "defs_state"
                next(folder.glob(f"*{project}*/{version}")).write_text("{ not json")
                await asyncio.to_thread(desk.reload)
                await look(project, version, *asset)

            monkeypatch.setattr(publisher._location, "verify", spoiled)
            await publisher.retire(RetireRequest(asset, "ann", "req_1", every_asset))

        with pytest.raises(Unavailable, match="nothing was changed"):
            desk.with_publisher(act)
        assert desk.row(asset) == before
        assert desk.shown_as(asset) == "LIVE"
        desk.retire(asset)
        assert desk.shown_as(asset) == "RETIRED"

    def test_without_dagster_nothing_is_retired(self, desk: Desk) -> None:
        asset = desk.write("flights.gold.retire_in_the_dark")
        desk.publish(asset)

        async def act(publisher: DefinitionPublisher, _orchestrator: DagsterOrchestrator) -> None:
            desk.platform.kill("webserver")
            await publisher.retire(RetireRequest(asset, "ann", "req_1", every_asset))

        try:
            with pytest.raises(Unavailable):
                desk.with_publisher(act)
            assert desk.row(asset).retired_at is None
        finally:
            desk.platform.start("webserver")
            until(desk.platform.ready, 90, "webserver")
        desk.retire(asset)
