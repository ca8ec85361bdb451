"""The rows of definitions while they are published and retired."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.gateways.publishing import DefinitionPublisher
from core import clock, publications, state_versions
from core.db import Database
from core.definitions import ASSET_CLAIM, DEFINITION
from core.errors import Conflict
from core.publisher import Candidate
from core.settings import load_settings
from tests.api.ai_catalog.retirement import ID, OTHER
from tests.api.both_databases import on_both
from tests.api_process import prepare
from tests.orchestration import FakeOrchestrator


class TestRows:
    """What the operations change in the database, whatever happens between two of them."""

    @pytest.fixture
    def database(self, tmp_path: Path, database_url: str) -> Iterator[Database]:
        settings = load_settings({"HEADWATER_HOME": str(tmp_path), "HEADWATER_DATABASE_URL": database_url})
        prepare(settings)
        database = Database(settings.effective_database_url)
        yield database
        database.close()

    def draft(self, connection: Any, asset: str, sql: str = "SELECT 1") -> Candidate:
        now, attributes = clock.now(), {"asset": asset, "sql": sql}
        when = {"created_at": now, "updated_at": now, "created_by": "ann", "revision": 1}
        description = {"asset_id": asset, "project": asset.split(".")[0], "component": "C", "attributes": attributes}
        connection.execute(DEFINITION.insert().values(**description, **when))
        return Candidate(asset, "C", attributes)

    def publish(self, connection: Any, candidate: Candidate, reads: list[str] | None = None, **extra: Any) -> Any:
        who = {"principal": "ann", "principal_id": "usr_ann"}
        made = {"assets": [candidate.asset_id], "reads": reads or [], "code_assets": {}}
        return publications.activate(connection, candidate, **made, **who, **extra)

    def test_what_was_examined_goes_live_and_not_what_was_edited_meanwhile(self, database: Database) -> None:
        """The kind: something is judged, and something else that was put in its place is done."""
        with database.write() as connection:
            judged = self.draft(connection, ID)
            other = {"asset": ID, "sql": "SELECT * FROM secrets"}
            connection.execute(DEFINITION.update().values(attributes=other, component="Other"))
            self.publish(connection, judged)
            row = connection.execute(sa.select(DEFINITION)).one()
        assert (row.published_attributes, row.published_component) == (judged.attributes, "C")
        assert row.attributes == other

    @on_both
    def test_every_change_leaves_dagster_behind_until_it_is_remembered(self, database: Database) -> None:
        """So that a kill between the row and Dagster's state is found and healed at any of the steps."""

        def behind() -> bool:
            with database.read() as connection:
                assert state_versions.projects(connection) == ["flights"]
                good = state_versions.last_verified(connection, "flights")
                return good is None or good.digest != state_versions.digest(connection, "flights")

        def change(step: Any) -> None:
            with database.write() as connection:
                step(connection)
            assert behind()
            with database.write() as connection:
                now = state_versions.digest(connection, "flights")
                state_versions.record_verified(connection, "flights", "v", now)
            assert not behind()

        with database.write() as connection:
            candidate = self.draft(connection, ID)
        change(lambda connection: self.publish(connection, candidate))
        change(lambda connection: publications.retire(connection, ID, principal="ann"))
        change(lambda connection: self.publish(connection, candidate, reinstates=True))
        change(lambda connection: publications.retire(connection, ID, principal="ann"))
        change(lambda connection: publications.remove(connection, ID))

    @pytest.mark.parametrize("change", ["blocked", "removed"])
    async def test_what_changes_while_dagster_loads_is_not_taken_for_loaded(
        self, database: Database, change: str
    ) -> None:
        """The kind: what was true after a step is recorded as what the step saw."""
        renewed: list[str] = []

        class Location:
            async def renew(self, project: str) -> str:
                if not renewed:  # meanwhile, in another process
                    with database.write() as connection:
                        if change == "blocked":
                            connection.execute(DEFINITION.update().values(blocked="ann may no longer read it."))
                        else:
                            publications.remove(connection, OTHER)
                renewed.append(project)
                return f"v{len(renewed)}"

            async def verify(self, *asked: Any) -> None:
                pass

        with database.write() as connection:
            self.publish(connection, self.draft(connection, ID))
            self.publish(connection, self.draft(connection, OTHER))
            publications.retire(connection, OTHER, principal="ann")
        publisher = DefinitionPublisher(Any, FakeOrchestrator(), database, {})  # type: ignore[arg-type]
        publisher._location = Location()  # type: ignore[assignment]
        for times in (1, 2, 2):
            await publisher.reconcile()
            assert renewed == ["flights"] * times

    @on_both
    def test_a_change_that_is_taken_back_leaves_no_trace(self, database: Database) -> None:
        def rows() -> Any:
            with database.read() as connection:
                return connection.execute(sa.select(DEFINITION)).all(), connection.execute(sa.select(ASSET_CLAIM)).all()

        with database.write() as connection:
            candidate = self.draft(connection, ID)
            self.publish(connection, candidate)
        for retired in (False, True):
            before = rows()
            with database.write() as connection:
                if retired:
                    was = self.publish(connection, candidate, reinstates=True)
                else:
                    was = publications.retire(connection, ID, principal="eve")
            assert rows() != before
            with database.write() as connection:
                publications.restore(connection, was)
            assert rows() == before
            if not retired:
                with database.write() as connection:
                    publications.retire(connection, ID, principal="eve")

    @on_both
    def test_publishing_and_retiring_at_once_never_leave_a_reader_of_what_is_retired(self, database: Database) -> None:
        with database.write() as connection:
            self.publish(connection, self.draft(connection, ID))
            reader = self.draft(connection, OTHER)
            publications.retire(connection, ID, principal="ann")
            with pytest.raises(Conflict, match="which is retired"):
                self.publish(connection, reader, [ID])
            with pytest.raises(Conflict, match="is retired"):
                self.publish(connection, Candidate(ID, "C", {}))
            with pytest.raises(Conflict, match="isn't retired"):
                self.publish(connection, reader, reinstates=True)
