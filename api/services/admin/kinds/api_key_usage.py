"""The last use of API keys."""

from __future__ import annotations

from datetime import datetime

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.kernel.roles import Role
from api.services.admin.kinds.api_key import API_KEY, require_visible


class ApiKeyUsage(Model):
    """The last use of a key, accurate to a minute."""

    last_used_at: datetime | None
    """Time of the last use. Null if the key was never used."""

    last_used_from: str | None
    """Address of the last use."""


@API_KEY.part("usage", query=Query, result=ApiKeyUsage, role=Role.ADMIN, own=True)
async def get_api_key_usage(ctx: Context, api_key: str, query: Query) -> ApiKeyUsage:
    """Returns when a key was last used, and from which address."""

    def read(unit: Unit) -> ApiKeyUsage:
        row = require_visible(unit, api_key, "get")
        return ApiKeyUsage(last_used_at=row.last_used_at, last_used_from=row.last_used_from)

    return await ctx.read(read)
