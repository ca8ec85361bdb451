"""Active contracts as gates: a step that produces a version that breaks its contract fails, and no step reads it.

The contract is read when the step runs, so it holds from its activation on, also for assets in the repository's code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from core import contracts

if TYPE_CHECKING:
    from core.contracts import ActiveContract
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

_MAX_VERDICTS = 256
_VERDICTS: dict[tuple[str, str], tuple[str, ...]] = {}
"""Broken terms by contract and data version. Neither of them changes."""


def require_contract(context: dg.AssetExecutionContext, tables: Tables, snapshot: Snapshot) -> None:
    """Fails the step if a version that it produced breaks the active contract of its asset, and records that.

    Raises:
        dagster.Failure: the description lists the broken terms.
    """
    contract, faults = contract_faults(tables, snapshot)
    if contract is None or not faults:
        return
    from lakehouse.branches import BranchTables

    if not isinstance(tables, BranchTables):  # a version of a branch is no version of the asset
        with tables.pins.database.write() as connection:
            contracts.record_violation(connection, contract, snapshot.data_version, faults, context.run.run_id)
    raise dg.Failure(
        description=f"{snapshot.table} version {snapshot.version} breaks version {contract.version} of its contract. "
        f"{' '.join(faults)} No asset is produced from it. Correct the data, or agree on another contract.",
        metadata={"contract": contract.id, "faults": list(faults)},
        allow_retries=False,
    )


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
