"""A mark for API tests that run no SQL of their subject on the metadata database, so that SQLite alone proves them."""

from __future__ import annotations

import pytest

on_sqlite = pytest.mark.parametrize("api", ["sqlite"], indirect=True)
"""For tests with the fixture `api`: table queries, searches of indexes, and pages do not depend on the database."""
