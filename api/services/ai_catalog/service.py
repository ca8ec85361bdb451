"""The AI catalog service."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.ai_catalog.kinds import (
    asset_history,
    asset_lineage,
    asset_rows,
    definition_publication,
    definition_validation,
)
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.definition import DEFINITION
from api.services.ai_catalog.kinds.query import QUERY
from api.services.ai_catalog.kinds.schedule import SCHEDULE
from api.services.ai_catalog.kinds.sensor import SENSOR

PARTS = (asset_history, asset_lineage, asset_rows, definition_publication, definition_validation)
"""Modules that register operations on other kinds."""

SERVICE = Service(
    "ai_catalog",
    "AI catalogue",
    [ASSET, DEFINITION, QUERY, SCHEDULE, SENSOR],
    description="Assets with health, staleness, lineage, and versions, and their definitions and automation.",
)
