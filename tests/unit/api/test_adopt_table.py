"""`headwater tables adopt`: what errors of a damaged table advise can be done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from api.cli.app import app
from core.errors import TableDamaged, UnknownTable
from tests import slices

NAME = "shop.silver.orders"


def adopt(table: str) -> str:
    result = CliRunner().invoke(app, ["tables", "adopt", table], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("damage", ["last", "all"])
def test_a_damaged_table_is_used_again(home: Path, damage: str) -> None:
    tables = slices.open_tables()
    for number in range(3):
        tables.append(NAME, pa.table({"id": [number]}))
    log = home / "lakehouse/shop/silver/orders/_delta_log"
    if damage == "last":
        (log / f"{2:020}.json").unlink()
    else:
        shutil.rmtree(log)
    with pytest.raises(TableDamaged, match=f"headwater tables adopt {NAME}"):
        slices.open_tables().snapshot(NAME)
    reported = adopt(NAME)
    tables = slices.open_tables()
    if damage == "last":
        assert "version 1" in reported
        assert tables.snapshot(NAME).row_count == 2
    else:
        assert "abandoned" in reported
        with pytest.raises(UnknownTable):
            tables.snapshot(NAME)
    tables.append(NAME, pa.table({"id": [9]}))


def test_an_unknown_table_is_told(home: Path) -> None:
    slices.open_tables()
    with pytest.raises(UnknownTable, match=NAME):
        adopt(NAME)
