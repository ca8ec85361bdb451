"""Dagster's storage on PostgreSQL, opened as its webserver opens it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster_postgres import PostgresRunStorage

from core.settings import load_settings

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_the_webserver_reads_runs_whatever_driver_the_setting_names(
    tmp_path: Path, postgresql_url: str, scheme: str
) -> None:
    """Kind: a driver whose connections behave otherwise. Dagster's timeout closed each new connection of psycopg 3."""
    url = f"{scheme}://{postgresql_url.partition('://')[2]}"
    settings = load_settings({"HEADWATER_HOME": str(tmp_path), "HEADWATER_DAGSTER_DATABASE_URL": url})
    given = settings.environment()
    storage = PostgresRunStorage(given["HEADWATER_DAGSTER_DATABASE_URL"], should_autocreate_tables=True)
    storage.optimize_for_webserver(statement_timeout=5_000, pool_recycle=3_600, max_overflow=5)
    assert storage.get_runs(limit=1) == []
    assert storage.get_runs_count() == 0
    storage.dispose()
    assert load_settings(given).environment() == given, "a child's children get the same"
