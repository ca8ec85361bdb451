"""Connections to DuckDB that can't reach files, the network, or other databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb


@contextmanager
def open_connection(*, threads: int = 2, memory_limit: str = "2GB") -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a connection to an empty database in memory, which only reads what is registered in it."""
    import duckdb

    config: dict[str, Any] = {
        "threads": threads,
        "memory_limit": memory_limit,
        "enable_external_access": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "temp_directory": "",
    }
    with duckdb.connect(":memory:", config=config) as connection:
        # Otherwise, days and hours of instants would depend on the time zone of the machine.
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
