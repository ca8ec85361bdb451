"""The service of models in use."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.ai_system.kinds.model import MODEL

SERVICE = Service("ai_system", "AI systems", [MODEL], description="Models in use: versions, predictions, provenance.")
