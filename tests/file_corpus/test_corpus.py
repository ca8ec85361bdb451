"""Every file of the corpus through every door.

The kind: a file whose values are changed, dropped or invented without a word. Each case says which rows its file has,
or why it is refused; whole-file ingestion, landing with quarantine, SQL, Arrow and the REST preview must all agree.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from assets.components import component
from assets.datasets import ingestion
from core.errors import SchemaMismatch
from core.settings import load_settings
from lakehouse.files.text import decoded
from lakehouse.landing import quarantine_table
from lakehouse.landing_files import landing_folder
from lakehouse.query import Query
from lakehouse.tables import Tables
from resources.delta import Delta
from tests import slices
from tests.api_process import running
from tests.file_corpus import objects, parquet, structure, values
from tests.file_corpus.case import Case, same, types_of
from tests.orchestration import FakeOrchestrator, node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CASES = [*structure.CASES, *values.CASES, *objects.CASES, *parquet.CASES]
WHOLE = {f"corpus.whole.c{number:03}": case for number, case in enumerate(CASES)}
LANDED = {f"corpus.landed.c{number:03}": case for number, case in enumerate(CASES) if case.columns}
STORED = {table: case for table, case in WHOLE.items() if not case.refused and not case.rejected}
ARROW = "application/vnd.apache.arrow.stream"
ORIGIN = ["_line", "_file", "_sha256", "_landed_at"]


def ids(cases: Mapping[str, Case]) -> list[Any]:
    return [pytest.param(table, case, id=case.name) for table, case in cases.items()]


def definition(table: str, case: Case, source: dict[str, Any]) -> dg.Definitions:
    """What a user declares for the case's file."""
    columns = {column.name: {"type": column.type, "nullable": column.nullable} for column in case.declared}
    attributes = {
        "asset": table,
        "description": case.name,
        "source": source | dict(case.options),
        "columns": columns,
        "null_values": list(case.nulls),
    }
    return dg.build_defs_for_component(component("DatasetComponent", attributes))


@dataclass
class Ran:
    """What a run of all cases left."""

    tables: Tables
    failures: Mapping[str, str]
    _read: dict[str, pa.Table] = field(default_factory=dict)

    def rows(self, table: str) -> pa.Table:
        """Reads a table once."""
        if table not in self._read:
            self._read[table] = self.tables.snapshot(table).to_arrow()
        return self._read[table]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(ingestion, "_SETTLE_SECONDS", 0.0)
        tables = slices.open_tables()
        root = load_settings().effective_landing_url
        made = []
        for table, case in WHOLE.items():
            file = f"{table}/{case.file}"
            (Path(root) / "corpus" / table).mkdir(parents=True)
            (Path(root) / "corpus" / file).write_bytes(case.content)
            made.append(definition(table, case, {"kind": "file", "path": file}))
        for table, case in LANDED.items():
            landing_folder(root, table).mkdir(parents=True)
            (landing_folder(root, table) / case.file).write_bytes(case.content)
            made.append(definition(table, case, {"kind": "landing", "pattern": "f.*"}))
        extra = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
        with dg.DagsterInstance.ephemeral() as instance:
            result = slices.run(dg.Definitions.merge(*made, extra), instance)
            failures = {
                event.node_name.replace("__", "."): str(event.step_failure_data.error)
                for event in result.all_events
                if event.is_step_failure and event.node_name
            }
        yield Ran(tables, failures)


def assert_rows(table: pa.Table, case: Case) -> None:
    found = list(zip(*(column.to_pylist() for column in table.columns), strict=True)) if table.num_rows else []
    assert len(found) == len(case.rows)
    wrong = [(f, e) for f, e in zip(found, case.rows, strict=True) if not same(f, e)]
    assert wrong[:3] == []


@pytest.mark.parametrize(("table", "case"), ids(WHOLE))
def test_a_whole_file_has_its_rows_or_is_refused(ran: Ran, table: str, case: Case) -> None:
    if not case.refused and not case.rejected:
        assert_rows(ran.rows(table), case)
        return
    message = ran.failures[table]
    assert SchemaMismatch.__name__ in message
    assert case.refused in message
    for line, reason in list(case.rejected.items())[:3]:
        assert f"line {line}: " in message
        assert reason in message
    assert table not in ran.tables.list()


@pytest.mark.parametrize(("table", "case"), ids({t: c for t, c in STORED.items() if c.types}))
def test_types_that_are_not_declared_change_no_value(ran: Ran, table: str, case: Case) -> None:
    schema = ran.rows(table).schema
    assert types_of(schema) == case.types
    if case.names:
        assert "|".join(schema.names) == case.names


@pytest.mark.parametrize(("table", "case"), ids(LANDED))
def test_a_landed_file_has_its_rows_and_the_rest_in_quarantine(ran: Ran, table: str, case: Case) -> None:
    """Each rejected line is there with its number, its reason and its exact bytes."""
    assert table not in ran.failures
    assert_rows(ran.rows(table).drop(ORIGIN), case)
    quarantined = ran.rows(quarantine_table(table)).to_pylist()
    assert sorted(row["line"] for row in quarantined) == sorted(case.rejected)
    for row in quarantined:
        assert case.rejected[row["line"]] in row["reason"]
        exact = row["raw_bytes"] if row["raw_bytes"] is not None else row["raw"].encode()
        if case.file != "f.parquet":
            # A piece of the file, wherever it stands; what is not in UTF-8 is compared in the file's own encoding.
            assert exact in case.content or exact.decode() in decoded(case.content).body.decode()


@pytest.mark.parametrize(("table", "case"), ids(STORED))
def test_sql_gives_the_same_rows(ran: Ran, table: str, case: Case) -> None:
    found = Query(ran.tables).sql(f"select * from {table}").table
    whole = ran.rows(table)
    assert found.column_names == whole.column_names
    assert same(found.to_pylist(), whole.to_pylist())


async def test_the_preview_gives_the_same_rows(ran: Ran, tmp_path: Path) -> None:
    """Of every case, as JSON and as an Arrow stream."""
    previewed = {table: case for table, case in STORED.items() if len(case.rows) <= 1000}
    orchestrator = FakeOrchestrator()
    orchestrator.nodes |= {table: node(table) for table in previewed}
    async with running(tmp_path, orchestrator) as api:
        tables = Tables.from_settings(api.app.platform.settings, api.database)
        for table, case in previewed.items():
            shutil.copytree(ran.tables.uri(table), tables.uri(table))
            whole = ran.rows(table)
            url, page = f"ai-catalog/assets/{table}/preview", {"page_size": 1000}
            reply = await api.viewer.get(url, params=page, headers={"accept": ARROW})
            found = pa.ipc.open_stream(reply.response.content).read_all()
            assert same(found.to_pylist(), whole.to_pylist()), case.name
            preview = (await api.viewer.get(url, params=page)).json
            assert preview["row_count"] == len(case.rows), case.name
            for row, expected in zip(preview["rows"], whole.to_pylist(), strict=True):
                plain = {name: value for name, value in expected.items() if isinstance(value, str | int | bool | None)}
                assert {name: row[name] for name in plain} == plain, case.name
