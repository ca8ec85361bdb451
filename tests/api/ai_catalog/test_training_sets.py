"""Training sets over REST: their pins, their splits, and that no right is gained by them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.lineage import Lineage
from lakehouse.pins import Pins
from lakehouse.step import Step
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node

SET, SPINE, HIDDEN = "flights.training.delays", "flights.silver.flights", "secrets.gold.salaries"
PATH = f"ai-catalog/training-sets/{SET}"


@pytest.fixture
def tables(api: Api, orchestrator: FakeOrchestrator) -> Tables:
    orchestrator.nodes[SET] = node(SET, [SPINE], kinds=("delta", "polars", "training-set"))
    tables, lineage = Tables.from_settings(api.app.platform.settings, api.database), Lineage(api.database)
    for table in (SPINE, HIDDEN):
        tables.overwrite(table, pa.table({"id": [1, 2, 3]}))
    step = Step(
        tables, lineage, asset=SET, run="run-1", step="s", code_version="1", engine="polars", principal="editor"
    )
    step.read(SPINE)
    step.overwrite(pa.table({"id": [1, 2, 3], "split": ["train", "train", "test"]}))
    return tables


def secret_inputs(api: Api, tables: Tables) -> None:
    """A further version, which was made from a table of another project, too."""
    step = Step(
        tables, Lineage(api.database), asset=SET, run="run-2", step="s", code_version="1", engine="x", principal="admin"
    )
    step.read(SPINE)
    step.read(HIDDEN)
    step.overwrite(pa.table({"id": [4], "split": ["train"]}))


async def test_a_version_names_what_it_was_made_from(api: Api, tables: Tables) -> None:
    assert [one["id"] for one in (await made(api.viewer.get("ai-catalog/training-sets")))["items"]] == [SET]
    assert (await made(api.viewer.get(PATH)))["id"] == SET
    assert (await api.viewer.get(f"ai-catalog/training-sets/{SPINE}")).status == 404
    found = await made(api.viewer.get(f"{PATH}/version"))
    assert (found["row_count"], found["splits"], found["pinned"]) == (3, {"test": 1, "train": 2}, False)
    assert found["inputs"] == [{"asset": SPINE, "version": tables.snapshot(SPINE).data_version}]


async def test_the_examples_of_a_split(api: Api, tables: Tables) -> None:
    found = await made(api.viewer.get(f"{PATH}/examples?split=train"))
    assert found["rows"] == [{"id": 1, "split": "train"}, {"id": 2, "split": "train"}]
    headers = {"accept": "application/vnd.apache.arrow.stream"}
    stream = await api.viewer.get(f"{PATH}/examples", headers=headers)
    assert pa.ipc.open_stream(stream.response.content).read_all()["id"].to_pylist() == [1, 2, 3]
    assert stream.headers["x-data-version"] == tables.snapshot(SET).data_version
    assert (await api.viewer.get(f"{PATH}/examples?version=9")).status == 404


async def test_who_cannot_read_an_input_gets_no_examples(api: Api, tables: Tables) -> None:
    project = await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    await grant(api, await user(api, "reader"), "rol_viewer", project["id"])
    reader = api.caller("reader")
    assert (await reader.get(f"{PATH}/examples")).status == 200
    secret_inputs(api, tables)
    refused = await reader.get(f"{PATH}/examples")
    assert refused.status == 403
    assert "secrets" not in refused.response.text
    assert (await reader.get(f"{PATH}/version")).status == 403
    assert (await api.viewer.get(f"{PATH}/examples")).status == 200
    assert (await reader.get(f"{PATH}/examples?version=0")).status == 200


@on_both
@pytest.mark.effect("ai_catalog_pin_training_set", "ai_catalog_unpin_training_set")
async def test_a_pin_protects_the_version_and_its_inputs(api: Api, tables: Tables) -> None:
    assert (await api.viewer.post(f"{PATH}:pin", {})).status == 403
    assert (await api.editor.post(f"{PATH}:unpin", {})).status == 409
    for _ in range(2):
        assert (await made(api.editor.post(f"{PATH}:pin", {})))["pinned"]
    held = {(pin.table, pin.version) for pin in Pins(api.database).pins()}
    assert held == {(SET, tables.snapshot(SET).version), (SPINE, tables.snapshot(SPINE).version)}
    assert not (await made(api.editor.post(f"{PATH}:unpin", {})))["pinned"]
    assert Pins(api.database).pins() == []
