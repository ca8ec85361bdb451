"""Active contracts as gates: a step that produces a version that breaks its contract fails, and no step reads it.

The contract is read when the step runs, so it holds from its activation on, also for assets in the repository's code.
Every asset that a component makes has a check with this verdict, because checks are declared before a contract exists.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from core import contracts
from core.ids import asset_key

if TYPE_CHECKING:
    from core.contracts import ActiveContract
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

CONTRACT_CHECK = "Contract"
"""Name of the check. Names of declared checks are in lower case."""

CONTRACT = "headwater/contract"
"""Metadata of a result of the check: id of the contract. Results for assets without an active contract lack it."""

_MAX_VERDICTS = 256
_VERDICTS: dict[tuple[str, str], tuple[str, ...]] = {}
"""Broken terms by contract and data version. Neither of them changes."""


def contract_check(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Returns the check whose result is whether a version meets the active contract of its asset."""
    return dg.AssetCheckSpec(
        CONTRACT_CHECK, asset=asset, blocking=True, description="The version meets the active contract of the asset."
    )


def evaluate_contract(
    context: dg.AssetExecutionContext, tables: Tables, snapshot: Snapshot
) -> tuple[dg.AssetCheckResult, dg.Failure | None]:
    """Returns the result of the check for a version that a step produced, and the failure of the step if it is broken.

    Records the version that breaks the contract.
    """
    contract, faults = contract_faults(tables, snapshot)
    result = partial(dg.AssetCheckResult, asset_key=asset_key(snapshot.table), check_name=CONTRACT_CHECK)
    if contract is None:
        return result(passed=True, description="The asset has no active contract."), None
    metadata: dict[str, Any] = {CONTRACT: contract.id, "version": contract.version}
    if not faults:
        return result(passed=True, description=f"Meets version {contract.version}.", metadata=metadata), None
    from lakehouse.branches import BranchTables

    if not isinstance(tables, BranchTables):  # a version of a branch is no version of the asset
        with tables.pins.database.write() as connection:
            contracts.record_violation(connection, contract, snapshot.data_version, faults, context.run.run_id)
    text = f"Breaks version {contract.version}. {' '.join(faults)}"
    failure = dg.Failure(
        description=f"{snapshot.table} version {snapshot.version} breaks version {contract.version} of its contract. "
        f"{' '.join(faults)} No asset is produced from it. Correct the data, or agree on another contract.",
        metadata={"contract": contract.id, "faults": list(faults)},
        allow_retries=False,
    )
    return result(passed=False, description=text, metadata={**metadata, "faults": list(faults)}), failure


def input_faults(tables: Tables, snapshot: Snapshot) -> tuple[ActiveContract | None, tuple[str, ...]]:
    """Returns the active contract of an input, and how its version breaks it now, also by the age of its rows."""
    from lakehouse.contract_terms import age_faults
    from lakehouse.lineage import Lineage

    contract, faults = contract_faults(tables, snapshot)
    if contract is None:
        return None, ()
    return contract, (*faults, *age_faults(contract.terms, tables, Lineage(tables.pins.database), snapshot))


def contract_faults(tables: Tables, snapshot: Snapshot) -> tuple[ActiveContract | None, tuple[str, ...]]:
    """Returns the active contract of an asset, and how a version breaks it, whenever it is read."""
    with tables.pins.database.read() as connection:
        contract = contracts.active(connection, snapshot.table)
    if contract is None:
        return None, ()
    key = contract.id, snapshot.data_version
    if key not in _VERDICTS:
        from lakehouse.contract_terms import faults

        if len(_VERDICTS) >= _MAX_VERDICTS:
            _VERDICTS.clear()
        _VERDICTS[key] = tuple(faults(contract.terms, snapshot))
    return contract, _VERDICTS[key]
