"""Removal of online rows that must not be served any more: of former tables, of retired assets, and of expired rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from core.errors import HeadwaterError, UnknownTable
from features.online import OnlineStore, Served

if TYPE_CHECKING:
    from lakehouse.tables import Tables


def sweep(store: OnlineStore, tables: Tables, moment: int, *, retired: Collection[str]) -> Mapping[str, str]:
    """Removes online rows. Returns what it did, by asset.

    The rows of an asset are removed if the asset is retired, or if their table was deleted or created again. Rows that
    are older than the asset allows are deleted.

    Args:
        store: the online store.
        tables: the tables that the rows come from.
        moment: the current time, in microseconds since 1970.
        retired: assets whose definition is retired.

    Raises:
        Unavailable: the store does not respond.
    """
    done = {}
    for asset in store.assets():
        served = store.served(asset)
        if served is None:
            continue
        if asset in retired or not _is_current(tables, served):
            if store.remove(asset, served):
                done[asset] = f"removed {served.rows} rows of {served.table}"
        elif served.max_age is not None and (count := store.expire(asset, moment - served.max_age)):
            done[asset] = f"deleted {count} expired rows"
    return done


def _is_current(tables: Tables, served: Served) -> bool:
    """Returns whether the table exists and is the one that the rows come from. One that can't be read may be that."""
    try:
        return tables.snapshot(served.table).table_id == served.table_id
    except UnknownTable:
        return False
    except HeadwaterError:
        return True
