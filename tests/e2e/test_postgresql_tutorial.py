"""docs/tutorials/from-your-postgresql-to-a-table.md, typed as it is written, against a PostgreSQL server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from tests.e2e.test_documented_commands import Reader, blocks
from tests.remote_postgresql import RemotePostgreSql, remote_postgresql
from tests.running_platform import ROOT, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PAGE = ROOT / "docs/tutorials/from-your-postgresql-to-a-table.md"
ASSET = "shop.bronze.orders"


@pytest.fixture
def remote(postgresql_url: str) -> Iterator[RemotePostgreSql]:
    """A database with the table of the page."""
    with remote_postgresql(postgresql_url) as database:
        engine = sa.create_engine(database.url, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"{blocks(PAGE, 'sql')[0]}; GRANT ALL ON public.orders TO PUBLIC")
        yield database


def test_the_commands_bring_rows_with_their_origin(platform: Running, remote: RemotePostgreSql, tmp_path: Path) -> None:
    reader = Reader(platform, tmp_path)
    place = {"DB_HOST": "127.0.0.1", "DB_PORT": str(remote.port), "DB_NAME": remote.database}
    reader.environment |= place | {"DB_USER": remote.user, "DB_PASSWORD": remote.password}
    (declared,) = blocks(PAGE, "yaml")
    assert yaml.safe_load(declared) == yaml.safe_load((ROOT / "examples/connections/orders.yaml").read_text())
    (tmp_path / "orders.yaml").write_text(declared)
    setup, connect, define, ask = blocks(PAGE, "sh")
    printed = reader.types(setup, connect, define, ask)
    assert '"passed":true' in printed
    assert "lsn:" in printed
    assert "9.50" in printed
    assert remote.password not in printed
    engine = sa.create_engine(remote.url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE public.orders SET amount = 10, updated_at = now() WHERE id = 1")
    rows = f'headwater query "SELECT id, amount FROM {ASSET} ORDER BY id" --format json'
    reader.types(f"headwater materialize {ASSET}")
    amounts = [json.loads(line)["amount"] for line in reader.types(rows).splitlines()]
    assert [float(amount) for amount in amounts] == [10, 12]
    logs = [
        path for path in platform.home.rglob("*") if path.is_file() and path.suffix in (".log", ".out", ".err", ".db")
    ]
    assert logs
    assert [path for path in logs if remote.password.encode() in path.read_bytes()] == []
