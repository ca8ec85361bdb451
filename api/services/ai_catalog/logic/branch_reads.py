"""Reads of rows in a branch: its own tables, and those of the lakehouse at the versions of the branch.

The right to read the rows of an asset is the same in a branch and outside of it. The caller must also see the branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.kernel.kinds.context import Context
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.branch import BRANCH
from lakehouse import branch_records

if TYPE_CHECKING:
    from lakehouse.branches import BranchPlan
    from lakehouse.tables import Tables


async def plan_of(ctx: Context, branch: str | None) -> BranchPlan | None:
    """Returns the plan of a branch that the caller can see; `None` without a branch.

    Raises:
        NotFound: there is no such branch, or the caller can't see it.
    """
    if branch is None:
        return None
    return branch_records.plan_of(await ctx.read(lambda unit: BRANCH.row(unit, branch, "tables")))


def sources(tables: Tables, asset: str) -> frozenset[tuple[str, str]]:
    """Returns the versions that a table was made from in a branch; none for a table of the lakehouse.

    Only the commits of a branch record its lineage, so the rule for copies needs them.
    """
    from lakehouse.branches import BranchTables

    return tables.sources(asset) if isinstance(tables, BranchTables) else frozenset()


def open_planned(platform: Platform, plan: BranchPlan | None) -> Tables:
    """Returns the tables as a branch sees them, or those of the lakehouse. Runs in a worker thread."""
    tables = platform.part(open_tables)
    if plan is None:
        return tables
    from lakehouse.branches import BranchTables

    return BranchTables(tables, plan)
