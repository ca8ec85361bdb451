"""The statements of users run in the process of the tests, instead of one that takes 1.5 s of CPU to start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from core.db import Database
from core.settings import Settings
from lakehouse.branches import BranchPlan, BranchTables
from lakehouse.query import Query
from lakehouse.restrictions import Restriction
from lakehouse.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa


class QueriesHere:
    """Replaces `lakehouse.query_process.QueryProcesses`, whose own tests start processes."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.effective_database_url)
        self._tables = Tables.from_settings(settings, self._database)

    def run(
        self,
        statement: str,
        versions: Mapping[str, int],
        limit: int,
        disconnected: Callable[[], bool] = lambda: False,
        *,
        plan: BranchPlan | None = None,
        restrictions: Mapping[str, Restriction] = {},
    ) -> tuple[pa.Table, bool]:
        """Runs a statement as a process does."""
        tables: Any = self._tables if plan is None else BranchTables(self._tables, plan)
        query = Query(tables, memory_limit="1GB", timeout_seconds=50, result_bytes=64 * 1024**2)
        result = query.sql(statement, limit=limit, versions=versions, restrictions=restrictions)
        return result.table, result.truncated

    def close(self) -> None:
        """Closes the connections to the metadata database."""
        self._database.close()
