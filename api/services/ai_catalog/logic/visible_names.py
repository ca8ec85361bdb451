"""A condition in SQL on columns with asset ids: the assets that the caller can see.

The table has no column for the scope of an asset, because the id contains the name of the project.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import Platform
from core.ids import is_asset_id


def visible_names(platform: Platform, access: Access, assets: Iterable[str], *permissions: str) -> set[str]:
    """Returns the ids of assets on which the caller holds the permission to see them, and the further permissions."""
    required = (READ_ASSET, *permissions)
    found = set()
    for id in assets:
        if is_asset_id(id):
            securable = asset_securable(platform, id)
            if all(access.allows(permission, securable) for permission in required):
                found.add(id)
    return found


def one_of(column: sa.ColumnElement[str], names: Iterable[str], dialect: str) -> sa.ColumnElement[bool]:
    """Returns the condition that a column has one of any number of values. It has one parameter."""
    values = sa.literal(sorted(names), sa.JSON())
    function = sa.func.json_array_elements_text if dialect == "postgresql" else sa.func.json_each
    entries = function(values).table_valued("value")
    return column.in_(sa.select(entries.c.value))
