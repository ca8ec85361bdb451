"""The landing table as an asset, and the sensor that feeds it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.datasets.ingestion import LANDING_METADATA
from core.settings import load_settings
from jobs.sensors import LANDING_TAG, MAX_ATTEMPTS, compare_files, landing_sensor, landing_sensors
from lakehouse import areas, delimited
from lakehouse.files import reading
from lakehouse.landing_files import LandingFile, landing_folder
from lakehouse.landing_record import LandingRecord
from lakehouse.tables import Tables
from resources.contracts import CONTRACT_CHECK
from resources.delta import Delta
from tests import slices

TABLE = "flights.bronze.flights_landing"
QUARANTINE = f"{TABLE}_quarantine"
KEYS = [dg.AssetKey(TABLE.split(".")), dg.AssetKey(QUARANTINE.split("."))]
HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,"
    "dest,air_time,distance,hour,minute,time_hour\n"
)
ROW = "2014,1,{day},517,515,2,830,819,11,UA,{flight},N14228,EWR,IAH,227,1400,5,15,2014-01-01T10:00:00Z\n"


@pytest.fixture
def tables(home: Path) -> Tables:
    return slices.open_tables()


@pytest.fixture
def folder(tables: Tables) -> Path:
    folder = landing_folder(load_settings().effective_landing_url, TABLE)
    folder.mkdir(parents=True)
    return folder


def definitions() -> dg.Definitions:
    extra = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
    return dg.Definitions.merge(slices.bronze(), extra)


def ingest(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    selection = dg.AssetSelection.assets(*KEYS)
    return slices.run(definitions(), instance, selection | dg.AssetSelection.checks_for_assets(*KEYS))


class TestAsset:
    def test_good_rows_load_and_bad_ones_are_quarantined(self, tables: Tables, folder: Path) -> None:
        bad = "2014,13,1,x,515,2,830,819,11,UA,1,N1,EWR,IAH,227,1400,5,15,\n"
        (folder / "january.csv").write_text(HEADER + ROW.format(day=1, flight=1) + bad + ROW.format(day=2, flight=1))
        with dg.DagsterInstance.ephemeral() as instance:
            result = ingest(instance)
            assert result.success
            events = {event.asset_key: event.materialization for event in result.get_asset_materialization_events()}
        assert tables.snapshot(TABLE).row_count == 2
        (rejected,) = tables.snapshot(QUARANTINE).to_arrow().to_pylist()
        assert rejected["line"] == 3
        assert rejected["raw"] == bad.strip()
        assert rejected["reason"] == "month: 13 is above 12; dep_time: 'x' is not a valid int64"
        metadata = events[KEYS[0]].metadata
        assert (metadata["landing/files"].value, metadata["landing/quarantined_rows"].value) == (1, 1)
        assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
            "nothing_quarantined": False,
            CONTRACT_CHECK: True,
        }

    def test_running_again_adds_nothing_and_keeps_the_data_version(self, tables: Tables, folder: Path) -> None:
        (folder / "a.csv").write_text(HEADER + ROW.format(day=1, flight=1))
        with dg.DagsterInstance.ephemeral() as instance:
            assert ingest(instance).success
            before = tables.snapshot(TABLE).data_version
            second = ingest(instance)
        assert second.success
        assert tables.snapshot(TABLE).data_version == before
        (event,) = [e for e in second.get_asset_materialization_events() if e.asset_key == KEYS[0]]
        assert event.materialization.tags is not None
        assert event.materialization.tags["dagster/data_version"] == before

    def test_an_empty_folder_makes_empty_tables(self, tables: Tables) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            assert ingest(instance).success
        assert tables.snapshot(TABLE).row_count == 0
        assert tables.snapshot(QUARANTINE).row_count == 0

    def test_landed_flights_reach_silver_in_place_of_the_source(self, tables: Tables, folder: Path) -> None:
        """UA 1545 on 1 January lands again, 20 minutes later than the source says, with a new flight beside it."""
        source = slices.packaged("data/flights.csv.zip").splitlines()[1].decode()
        assert source.startswith("2013,1,1,517,515,2,830,819,11,UA,1545,")
        changed = source.replace("517,515,2,830,819,11", "537,515,22,850,819,31")
        (folder / "a.csv").write_text(HEADER + changed + "\n" + ROW.format(day=1, flight=7))
        with dg.DagsterInstance.ephemeral() as instance:
            assert slices.run(slices.tables(), instance).success
        silver = tables.snapshot("flights.silver.flights").scan().collect()
        assert silver["flight_id"].is_unique().all()
        assert silver.filter(pl.col("flight_id") == "20130101-UA1545-EWR")["arr_delay"].item() == 31
        assert silver.filter(pl.col("flight_id") == "20140101-UA7-EWR").height == 1


class Watch:
    """A sensor with the cursor and the runs it would have in a daemon."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.sensor = landing_sensor(TABLE, "*.csv")
        self.definitions = dg.Definitions.merge(definitions(), dg.Definitions(sensors=[self.sensor]))
        self.cursor: str | None = None

    def tick(self) -> dg.RunRequest | str:
        """The request of one tick, or why there was none."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            sensor_name=self.sensor.name,
            definitions=self.definitions,
            resources={"delta": Delta()},
        )
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        if data.run_requests:
            (request,) = data.run_requests
            return request
        assert data.skip_message
        return data.skip_message

    def request(self) -> dg.RunRequest:
        found = self.tick()
        assert isinstance(found, dg.RunRequest), found
        return found

    def ran(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        """Stores a run as the daemon would have, in the given state."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        self.instance.create_run_for_job(job, tags=request.tags, status=status)


@pytest.fixture
def watch(tables: Tables) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(instance)


class TestSensor:
    def test_a_file_is_asked_for_when_it_looked_the_same_twice(self, watch: Watch, folder: Path) -> None:
        assert "No new file" in str(watch.tick())
        file = folder / "a.csv"
        file.write_text(HEADER)
        assert "1 new or growing files" in str(watch.tick())
        with file.open("a") as growing:
            growing.write(ROW.format(day=1, flight=1))
        assert "1 new or growing files" in str(watch.tick())
        request = watch.request()
        assert request.asset_selection == KEYS
        assert request.tags[LANDING_TAG] == TABLE
        assert request.tags["headwater/principal"].startswith("sensor:")

    def test_an_ingested_content_is_not_asked_for_again(self, watch: Watch, folder: Path) -> None:
        (folder / "a.csv").write_text(HEADER + ROW.format(day=1, flight=1))
        watch.tick()
        watch.request()
        assert ingest(watch.instance).success
        assert "No new file" in str(watch.tick())
        (folder / "copy.csv").write_text(HEADER + ROW.format(day=1, flight=1))
        watch.tick()
        assert "No new file" in str(watch.tick())

    def test_the_same_request_is_made_until_it_was_launched(self, watch: Watch, folder: Path) -> None:
        """The daemon may die between launch and the end of the tick: the run key keeps it to one run."""
        (folder / "a.csv").write_text(HEADER)
        watch.tick()
        assert watch.request().run_key == watch.request().run_key

    def test_no_second_run_while_one_is_active(self, watch: Watch, folder: Path) -> None:
        (folder / "a.csv").write_text(HEADER)
        watch.tick()
        watch.ran(watch.request(), dg.DagsterRunStatus.STARTED)
        assert "wait until the active run ends" in str(watch.tick())

    def test_a_failed_run_is_repeated_but_not_for_ever(self, watch: Watch, folder: Path) -> None:
        (folder / "a.csv").write_text(HEADER)
        watch.tick()
        keys = set()
        for _ in range(MAX_ATTEMPTS):
            request = watch.request()
            keys.add(request.run_key)
            watch.ran(request, dg.DagsterRunStatus.FAILURE)
        assert len(keys) == MAX_ATTEMPTS
        assert "3 runs failed on the same files" in str(watch.tick())
        (folder / "b.csv").write_text(HEADER + ROW.format(day=1, flight=1))
        watch.tick()
        assert watch.request().run_key not in keys

    def test_an_unchanged_file_is_read_once(self, folder: Path, watch: Watch) -> None:
        file = folder / "a.csv"
        file.write_text(HEADER)
        watch.tick()
        watch.request()
        assert watch.cursor
        remembered = json.loads(watch.cursor)["a.csv"][2]
        before = file.stat()
        file.write_text(HEADER.upper())
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        found = LandingFile.at(file)
        assert found
        complete, _ = compare_files([found], json.loads(watch.cursor))
        assert complete == {"a.csv": remembered}

    def test_files_that_are_gone_are_forgotten(self, watch: Watch, folder: Path) -> None:
        (folder / "a.csv").write_text(HEADER)
        watch.tick()
        (folder / "a.csv").unlink()
        watch.tick()
        assert watch.cursor == "{}"

    def test_the_same_size_at_another_time_is_another_look(self, folder: Path, watch: Watch) -> None:
        file = folder / "a.csv"
        file.write_text(HEADER)
        watch.tick()
        os.utime(file, ns=(1, 1))
        assert "new or growing" in str(watch.tick())


NAMES = [
    b"caf\xe9.csv",
    b"\xff\xfe.csv",
    b"new\nline.csv",
    b"\x01\x1b[31m.csv",
    b"'; DROP TABLE landed_file; --.csv",
    b"%2e%2e%2fx.csv",
    b"back\\slash.csv",
    b" .csv",
    "caf\u00e9.csv".encode(),
    "cafe\u0301.csv".encode(),
    "\u202evsc.csv".encode(),
    b"Name.csv",
    b"name.csv",
    b"n" * 251 + b".csv",
    b"\xff" * 251 + b".csv",
]


class TestOneFileNeverKeepsTheOthersWaiting:
    """The kind: something about one file raises, in the sensor or in the run, and no later file is ever ingested.

    What may be about a file: any name that a file system allows, no right to read it, its size, that it is gone or
    something else by the time it is opened, and whatever its reading raises.
    """

    def test_any_name_is_ingested(self, tables: Tables, watch: Watch, folder: Path) -> None:
        for number, name in enumerate(NAMES, 1):
            content = HEADER + ROW.format(day=1 + number % 28, flight=number)
            (folder / os.fsdecode(name)).write_text(content + "x\n")
        watch.tick()
        request = watch.request()
        json.dumps(request.tags)
        assert ingest(watch.instance).success
        assert "No new file" in str(watch.tick())
        rows = tables.snapshot(TABLE).to_arrow().select(["flight", "_file"]).to_pylist()
        assert sorted(row["flight"] for row in rows) == list(range(1, len(NAMES) + 1))
        displayed = {row["flight"]: row["_file"] for row in rows}
        assert len(set(displayed.values())) == len(NAMES)
        assert all(name.isprintable() for name in displayed.values())
        assert displayed[1] == "caf\\xe9.csv"
        assert displayed[9] == "caf\u00e9.csv"
        assert {row["_file"] for row in tables.snapshot(QUARANTINE).to_arrow().to_pylist()} == set(displayed.values())
        recorded = LandingRecord(tables.ledger._database).files(TABLE)
        assert len(recorded) == len(NAMES)
        assert all(len(landed.file) <= 500 for landed in recorded)

    def test_what_cannot_be_read_is_left_aside_with_the_reason(
        self, tables: Tables, watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (folder / "a-huge.csv").open("wb") as file:
            file.truncate(areas.MAX_FILE_BYTES + 1)  # takes no space
        (folder / "b-closed.csv").write_text(HEADER)
        os.mkfifo(folder / "c-pipe.csv")
        (folder / "d-folder.csv").mkdir()
        (folder / "e-good.csv").write_text(HEADER + ROW.format(day=1, flight=1))
        opening = os.open

        def closed(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if path == "b-closed.csv":
                raise PermissionError(13, "Permission denied")
            return opening(path, flags, mode, dir_fd=dir_fd)

        with monkeypatch.context() as patch:
            patch.setattr(areas.os, "open", closed)
            watch.tick()
            watch.request()
            result = ingest(watch.instance)
            assert result.success
            assert tables.snapshot(TABLE).row_count == 1
            (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == KEYS[0]]
            aside = event.materialization.metadata["landing/left_aside"].value
            assert set(aside) == {"a-huge.csv", "b-closed.csv"}
            reported = str(watch.tick())
            assert "2 files are skipped" in reported
            assert "a-huge.csv is larger than" in reported
            assert "can't read b-closed.csv" in reported
        watch.request()  # it can be read now without a change to the file

    def test_a_file_whose_reading_fails_is_named_and_the_others_go_on(
        self, tables: Tables, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number, name in enumerate(("a", "poison", "z"), 1):
            (folder / f"{name}.csv").write_text(HEADER + ROW.format(day=number, flight=number))
            os.utime(folder / f"{name}.csv", (number, number))
        read_rows = reading.read_rows

        def read(content: bytes, *args: Any) -> delimited.Parsed:
            if b",UA,2," in content:
                raise RuntimeError("a fault of the reader")
            return read_rows(content, *args)

        monkeypatch.setattr("lakehouse.landing.read_rows", read)
        with dg.DagsterInstance.ephemeral() as instance:
            result = ingest(instance)
        assert not result.success
        assert sorted(tables.snapshot(TABLE).to_arrow()["flight"].to_pylist()) == [1, 3]
        events = {event.asset_key: event.materialization for event in result.get_asset_materialization_events()}
        assert events[KEYS[0]].metadata["landing/left_aside"].value == {"poison.csv": "a fault of the reader"}
        failure = next(event for event in result.all_events if event.is_step_failure)
        assert "poison.csv: a fault of the reader" in str(failure.step_failure_data.error)

    def test_the_folder_of_earlier_releases_is_read_too(self, tables: Tables, watch: Watch, folder: Path) -> None:
        """Also when both folders have a file of the same name."""
        earlier = Path(load_settings().effective_landing_url) / TABLE
        earlier.mkdir()
        (earlier / "a.csv").write_text(HEADER + ROW.format(day=1, flight=1))
        (folder / "a.csv").write_text(HEADER + ROW.format(day=1, flight=2))
        watch.tick()
        watch.request()
        assert ingest(watch.instance).success
        assert "No new file" in str(watch.tick())
        assert sorted(tables.snapshot(TABLE).to_arrow()["flight"].to_pylist()) == [1, 2]


def test_each_landing_table_has_its_sensor(home: Path) -> None:
    specs = [
        dg.AssetSpec(key=["p", "b", "one"], metadata={LANDING_METADATA: "*.csv"}),
        dg.AssetSpec(key=["p", "b", "two"], metadata={LANDING_METADATA: "*.txt"}),
        dg.AssetSpec(key=["p", "b", "three"]),
    ]
    sensors = landing_sensors(specs)
    assert [sensor.name for sensor in sensors] == ["landing__p__b__one", "landing__p__b__two"]
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in sensors)
    assert all(sensor.minimum_interval_seconds == 5 for sensor in sensors)


def test_the_record_lists_what_was_ingested(tables: Tables, folder: Path) -> None:
    (folder / "a.csv").write_text(HEADER + ROW.format(day=1, flight=1) + "x\n")
    with dg.DagsterInstance.ephemeral() as instance:
        result = ingest(instance)
    (landed,) = LandingRecord(tables.ledger._database).files(TABLE)
    assert (landed.file, landed.row_count, landed.rejected_count) == ("a.csv", 1, 1)
    assert landed.run == result.run_id
