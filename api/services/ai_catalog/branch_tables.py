"""Tables of branches. The engine declares them, because runs read and write them; here they become rows of projects."""

from __future__ import annotations

from api.kernel.tables import project_rows
from lakehouse.branch_definitions import BRANCH_DEFINITION
from lakehouse.branch_records import BRANCH

BRANCH.info.update(project_rows("created_by"))

__all__ = ["BRANCH", "BRANCH_DEFINITION"]
