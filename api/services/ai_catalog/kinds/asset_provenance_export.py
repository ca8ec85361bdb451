"""Export of the provenance of a version in the forms of other systems."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.provenance import explain, require_version
from api.kernel.lake.versions import Version
from api.kernel.models import Query
from api.kernel.platform import open_lineage
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic import openlineage_events, prov_document
from api.services.ai_catalog.logic.provenance_document import ProvenanceDocument, collect


class ProvenanceFormat(StrEnum):
    """`openlineage`: one OpenLineage 2.0.2 run event per line. `prov`: one line with a W3C PROV-JSON document."""

    OPENLINEAGE = "openlineage"
    PROV = "prov"


class ProvenanceExportQuery(Query):
    """What to export."""

    format: ProvenanceFormat = ProvenanceFormat.OPENLINEAGE
    """`openlineage` or `prov`."""

    version: Version | None = None
    """Version to start from: a table version or a data version. By default the latest recorded one."""

    depth: Annotated[int, Field(ge=1, le=100)] = 20
    """Maximum distance from the start."""

    max_nodes: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Maximum number of versions."""


@ASSET.lines("provenance-export", query=ProvenanceExportQuery)
async def get_asset_provenance_export(
    ctx: Context, asset: str, query: ProvenanceExportQuery
) -> AsyncGenerator[bytes, None]:
    """Streams the provenance of a version as OpenLineage run events, one per line, or as one W3C PROV-JSON document.

    It contains what the caller can see. The header `X-Truncated` is `true` if `depth` or `max_nodes` cut it off.
    """
    lookup.asset(ctx.view(), asset)
    found = await ctx.compute(_collect, ctx, asset, query)
    ctx.headers.append(("x-truncated", str(found.truncated).lower()))

    async def lines() -> AsyncGenerator[bytes, None]:
        if query.format is ProvenanceFormat.PROV:
            yield _line(prov_document.document(found))
        else:
            for event in openlineage_events.events(found):
                yield _line(event)

    return lines()


def _collect(ctx: Context, asset: str, query: ProvenanceExportQuery) -> ProvenanceDocument:
    version = require_version(ctx, asset, query.version)
    explain(ctx, asset, ctx.platform.part(open_lineage).recorded_version(asset, version))
    return collect(ctx, asset, version, depth=query.depth, max_nodes=query.max_nodes)


def _line(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
