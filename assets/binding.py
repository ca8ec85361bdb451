"""Binding of a definition to the tables that exist: columns, types, and functions.

No run starts. Each component binds its attributes to the columns of its inputs and returns the columns of its output,
against which its checks are bound. Attributes that depend on an input that has not been materialized yet are reported
as not checked, because the definition may be correct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.datasets.checks import fault_of
from assets.findings import Findings, place
from core import contracts

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.datasets.rules import Check
    from assets.declaration import TableComponent
    from lakehouse.tables import Tables


def findings_of(declared: TableComponent, tables: Tables) -> Findings:
    """Returns the faults on which a run of a definition would fail, and the attributes that were not checked.

    Args:
        declared: a component with valid attributes.
        tables: the lakehouse.
    """
    findings = Findings(tables)
    result = declared.bind(findings)
    for number, check in enumerate(declared.checks):
        _bind_check(check, result, findings, place("checks", number))
    if result is not None:
        _bind_contract(declared.asset, result, findings)
    return findings


def _bind_contract(asset: str, schema: pa.Schema, findings: Findings) -> None:
    """Records how the columns of the result break the active contract of the asset."""
    from lakehouse.contract_terms import schema_faults

    with findings.tables.pins.database.read() as connection:
        contract = contracts.active(connection, asset)
    if contract is not None:
        for fault in schema_faults(contract.terms, schema):
            findings.wrong("/asset", f"Version {contract.version} of the contract of {asset} is broken: {fault}")


def _bind_check(check: Check, schema: pa.Schema | None, findings: Findings, pointer: str) -> None:

    other = findings.schema(check.references.table, f"{pointer}/references") if check.references else None
    if fault := fault_of(check, schema, other):
        findings.wrong(pointer, fault)
    elif schema is None and not check.row_count:
        findings.unknown(pointer, "The columns of the result are not known before a run.")
