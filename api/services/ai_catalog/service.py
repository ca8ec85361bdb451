"""The catalogue service."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.ai_catalog.kinds import asset_history, asset_lineage, asset_rows
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.definition import DEFINITION
from api.services.ai_catalog.kinds.schedule import SCHEDULE
from api.services.ai_catalog.kinds.sensor import SENSOR

PARTS = (asset_history, asset_lineage, asset_rows)
"""Imported for what they declare."""

SERVICE = Service(
    "ai_catalog",
    "AI catalogue",
    [ASSET, DEFINITION, SCHEDULE, SENSOR],
    description="Assets with health, staleness, lineage and versions; their definitions; what makes them.",
)
