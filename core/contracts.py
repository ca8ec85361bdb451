"""Contracts of data sets: the versions of the terms of an asset, of which one at most is active, and broken versions.

The API writes the contracts. The steps of the assets read the active one, and record the versions that break it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from core import clock
from core.db import METADATA, UtcDateTime

# The kernel moves and erases the rows of a project by this entry. Its value names columns with names of principals.
_OF_PROJECTS = "project_rows"


class ContractState(StrEnum):
    """State of a version of a contract. A DRAFT has no effect. The next ACTIVE version supersedes the last."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    SUPERSEDED = "SUPERSEDED"


CONTRACT = sa.Table(
    "contract",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("asset", sa.String(200), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("contact", sa.String(128), nullable=False),
    sa.Column("terms", sa.JSON, nullable=False),
    sa.Column("consumers", sa.JSON, nullable=False),
    sa.Column("teams", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("consents", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("activated_at", UtcDateTime),
    sa.Index("uq_contract_version", "asset", "version", unique=True),
    info={_OF_PROJECTS: ("created_by",)},
)

CONTRACT_VIOLATION = sa.Table(
    "contract_violation",
    METADATA,
    sa.Column("contract_id", sa.String(64), primary_key=True),
    sa.Column("data_version", sa.String(128), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("faults", sa.JSON, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    info={_OF_PROJECTS: ()},
)


@dataclass(frozen=True, slots=True)
class ActiveContract:
    """The active contract of an asset."""

    id: str
    version: int
    terms: Mapping[str, Any]
    organization_id: str
    project_id: str


def active(connection: Connection, asset: str) -> ActiveContract | None:
    """Returns the active contract of an asset, or `None`."""
    select = sa.select(CONTRACT).where(CONTRACT.c.asset == asset, CONTRACT.c.state == ContractState.ACTIVE.value)
    row = connection.execute(select).first()
    return None if row is None else ActiveContract(row.id, row.version, row.terms, row.organization_id, row.project_id)


def record_violation(
    connection: Connection, contract: ActiveContract, data_version: str, faults: Sequence[str], run_id: str
) -> None:
    """Records that a version breaks a contract. Idempotent."""
    row = {
        "contract_id": contract.id,
        "data_version": data_version,
        "organization_id": contract.organization_id,
        "project_id": contract.project_id,
        "faults": list(faults),
        "run_id": run_id,
        "at": clock.now(),
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(CONTRACT_VIOLATION).values(row).on_conflict_do_nothing())
