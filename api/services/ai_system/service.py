"""The service of models."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.ai_system.kinds.model import MODEL

SERVICE = Service("ai_system", "AI systems", [MODEL], description="Models: versions, predictions, and provenance.")
