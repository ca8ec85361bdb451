"""The retrieval service."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.rag.kinds.index import INDEX

SERVICE = Service("rag", "Retrieval", [INDEX], description="Hybrid search over indexes, every hit with its citation.")
