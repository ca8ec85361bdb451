"""A table handle for the Delta reader of Polars, with only those file statistics that can be trusted."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


def polars_handle(delta: DeltaTable, actions: pa.Table) -> DeltaTable:
    """Returns a handle of the same table at the same version, for data files with plain columns.

    Its protocol lists no features, because none of them affects such files, and Polars refuses features that it
    doesn't know.

    Args:
        delta: the table.
        actions: its files with the statistics that can be trusted.
    """
    handle_class = _handle_class()
    handle: Any = handle_class.__new__(handle_class)
    handle._table = delta._table
    handle._storage_options = delta._storage_options
    handle._trusted_actions = actions
    return cast("DeltaTable", handle)


@cache
def _handle_class() -> type[DeltaTable]:
    from deltalake import DeltaTable
    from deltalake.table import ProtocolVersions

    class PolarsHandle(DeltaTable):
        """See `polars_handle`."""

        _trusted_actions: pa.Table

        def protocol(self) -> ProtocolVersions:
            """Returns a protocol without features."""
            return ProtocolVersions(1, 2, None, None)

        def get_add_actions(self, flatten: bool = False) -> pa.Table:
            """Returns the files with the statistics that can be trusted."""
            return self._trusted_actions

    return PolarsHandle
