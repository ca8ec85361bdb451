"""kill -9 in the middle of an ingestion: after the repetition every line is there once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lakehouse.landing import quarantine_table
from lakehouse.landing_record import LandingRecord
from tests import slices

pytestmark = pytest.mark.slow

TABLE = "p.bronze.orders"
FILES, ROWS = 30, 200

INGEST = f"""
import sys
from core.db import Database
from core.settings import load_settings
from lakehouse.delimited import Column
from lakehouse.landing import Landing
from lakehouse.landing_files import files_in, landing_folder
from lakehouse.landing_record import LandingRecord
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables

settings = load_settings()
database = Database(settings.effective_database_url)
tables, lineage = Tables.from_settings(settings, database), Lineage(database)

def step(asset):
    return Step(tables, lineage, asset=asset, run="r", step="s", code_version="1", engine="polars", principal="p")

landing = Landing({TABLE!r}, [Column("id", "int64"), Column("name", "string")], LandingRecord(database), step)
landing.prepare()
known = {{landed.file for landed in LandingRecord(database).files({TABLE!r})}}
for file in files_in(landing_folder(settings.effective_landing_url, {TABLE!r}), "*.csv"):
    if file.path.name not in known:
        print(file.path.name, flush=True)
        landing.ingest(file)
"""


def start() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", INGEST], cwd=slices.ROOT, stdout=subprocess.PIPE, text=True)


def test_every_line_is_there_once(home: Path) -> None:
    tables = slices.open_tables()
    folder = home / "landing" / "p" / "bronze" / "orders"
    folder.mkdir(parents=True)
    for number in range(FILES):
        good = [f"{number * ROWS + row},name\n" for row in range(ROWS)]
        (folder / f"{number:02}.csv").write_text("".join(["id,name\n", *good, f"bad{number},name\n"]))
    chance = random.Random(20130310)
    kills = 0
    while kills < 8:
        process = start()
        assert process.stdout
        process.stdout.readline()  # it is ingesting a file now
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        kills += 1
    last = start()
    last.communicate()
    assert last.returncode == 0

    ids = Counter(tables.snapshot(TABLE).to_arrow().column("id").to_pylist())
    assert ids == Counter(range(FILES * ROWS))
    raws = Counter(tables.snapshot(quarantine_table(TABLE)).to_arrow().column("raw").to_pylist())
    assert raws == Counter(f"bad{number},name" for number in range(FILES))
    assert len(LandingRecord(tables.ledger._database).files(TABLE)) == FILES
    assert tables.verify(TABLE) == []
