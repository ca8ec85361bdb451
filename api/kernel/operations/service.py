"""The `operations` service, which every process has: long-running operations, and the stream of changes."""

from __future__ import annotations

from api.kernel.changes.kind import CHANGE
from api.kernel.kinds.service import Service
from api.kernel.operations.kind import OPERATION_KIND

SERVICE = Service(
    "operations",
    "Operations",
    [OPERATION_KIND, CHANGE],
    description="Long-running operations of all services: state, progress, logs, and cancellation. And one stream of "
    "what changes.",
)
