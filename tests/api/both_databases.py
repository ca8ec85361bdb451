"""A mark for API tests that run on SQLite and on PostgreSQL; without it, they run on SQLite."""

from __future__ import annotations

import pytest

on_both = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
"""For tests whose subject reads or writes the metadata database in a way in which the two differ: its own SQL, locks,
callers at the same time, upserts, filters, pages, times, or the order of texts."""
