"""The exact versions of the datasets that a run read, as far as they are assets of the platform."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import open_tables
from core.errors import InvalidPayload, NotFound
from core.ids import is_asset_id


def pinned(ctx: Context, name: str, source: str, version: str, pointer: str) -> tuple[str | None, str | None]:
    """Returns the asset and the data version that a logged dataset is, or None for what is unknown.

    The asset is the name of the dataset, or the table that a source of MLflow's type `delta_table` names. An asset that
    the caller can't see counts as data outside the platform. Call it in a worker thread.

    Raises:
        InvalidPayload: the asset has no such version.
    """
    claims = _claims(source)
    asset = next((id for id in (name, claims.get("delta_table_name")) if isinstance(id, str) and is_asset_id(id)), None)
    if asset is None or not ctx.principal.access.allows(READ_ASSET, asset_securable(ctx.platform, asset)):
        return None, None
    claim = claims.get("delta_table_version")
    claimed = version or ("" if claim is None else str(claim))
    if not claimed:
        return asset, None
    try:
        return asset, versions.snapshot(ctx.platform.part(open_tables), asset, claimed).data_version
    except NotFound as error:
        fault = {"pointer": pointer, "detail": "names a version that the table doesn't have"}
        raise InvalidPayload(error.detail, errors=[fault]) from None


def _claims(source: str) -> dict[str, Any]:
    with suppress(ValueError):
        parsed = json.loads(source)
        if isinstance(parsed, dict):
            return parsed
    return {}
