"""Whether an asset meets its contract, and the versions that did not."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.kernel.platform import Platform, open_lineage, open_tables
from api.services.ai_catalog.kinds.contract import CONTRACT
from api.services.ai_catalog.kinds.contract_agreement import newest_faults
from api.services.ai_catalog.logic.readable_tables import require_rows
from core.contracts import CONTRACT_VIOLATION
from core.errors import UnknownTable

_MAX_VIOLATIONS = 1000


class ContractVerdict(StrEnum):
    """Whether the newest version meets a contract. NOT_EVALUATED means that there is no version yet."""

    MET = "MET"
    BROKEN = "BROKEN"
    NOT_EVALUATED = "NOT_EVALUATED"


class ContractStatus(Model):
    """How the newest version of the asset relates to a contract."""

    verdict: ContractVerdict
    """Whether the newest version meets the terms."""

    data_version: str | None
    """The newest version. Null if there is none."""

    faults: list[str]
    """The broken terms."""


class ContractViolation(Model):
    """A version that was produced although it breaks the contract. No asset is produced from it."""

    data_version: str
    """The version."""

    faults: list[str]
    """The broken terms."""

    run_id: str
    """Id of the run of Dagster that produced it."""

    at: datetime
    """Time of the evaluation."""


class ContractViolations(Model):
    """The versions that broke a contract."""

    items: list[ContractViolation]
    """The versions, newest first."""


@CONTRACT.part("status", query=Query, result=ContractStatus)
async def get_contract_status(ctx: Context, contract: str, query: Query) -> ContractStatus:
    """Evaluates the terms of a version of a contract, also of a draft, on the newest version of the asset."""

    def authorized(unit: Unit) -> Row:
        row = CONTRACT.row(unit, contract, "status")
        require_rows(unit, row.asset)
        return row

    return await ctx.compute(_status, ctx.platform, await ctx.read(authorized))


@CONTRACT.view("violations", query=Query, result=ContractViolations)
def get_contract_violations(unit: Unit, contract: Row, query: Query) -> ContractViolations:
    """Returns the versions that broke a contract when they were produced."""
    require_rows(unit, contract.asset)
    table = CONTRACT_VIOLATION
    select = sa.select(table).where(table.c.contract_id == contract.id).order_by(table.c.at.desc())
    rows = unit.connection.execute(select.limit(_MAX_VIOLATIONS))
    fields = ContractViolation.model_fields
    items = [ContractViolation(**{name: getattr(row, name) for name in fields}) for row in rows]
    return ContractViolations(items=items)


def _status(platform: Platform, contract: Row) -> ContractStatus:
    from lakehouse.contract_terms import age_faults

    tables = platform.part(open_tables)
    try:
        snapshot = tables.snapshot(contract.asset)
    except UnknownTable:
        return ContractStatus(verdict=ContractVerdict.NOT_EVALUATED, data_version=None, faults=[])
    faults = newest_faults(platform, contract)
    faults += age_faults(contract.terms, tables, platform.part(open_lineage), snapshot)
    verdict = ContractVerdict.BROKEN if faults else ContractVerdict.MET
    return ContractStatus(verdict=verdict, data_version=snapshot.data_version, faults=faults)
