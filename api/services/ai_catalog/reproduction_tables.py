"""Tables of reproductions. The engine declares them, because runs store verdicts; here they become rows of projects."""

from __future__ import annotations

from api.kernel.tables import project_rows
from lakehouse.reproductions import REPRODUCED_ASSET, REPRODUCTION

REPRODUCTION.info.update(project_rows("created_by"))

__all__ = ["REPRODUCED_ASSET", "REPRODUCTION"]
