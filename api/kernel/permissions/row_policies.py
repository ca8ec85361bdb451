"""Policies on rows: what a principal reads of tables that it may read.

A policy of an organization masks columns or leaves out rows of the organization's tables, for some principals or for
all. The rights of a principal (`Access`) contain the policies that restrict it. They are read together with its
grants, so that they are as recent.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.rule import Rule
from api.kernel.tables import RESOURCE
from core.row_policies import PolicyState

POLICY = "ai_catalog.policy"
"""The kind of policies."""


@dataclass(frozen=True, slots=True)
class RowPolicy:
    """An active policy."""

    id: str
    name: str
    organization_id: str
    assets: tuple[str, ...]
    """Patterns of asset ids."""
    to: frozenset[str]
    """Ids of the principals and groups that it restricts. Empty for all."""
    exempt: frozenset[str]
    """Ids of principals and groups that it doesn't restrict."""
    masks: tuple[Mapping[str, Any], ...]
    row_filter: str
    """Condition for the rows that are left. Empty for all rows."""

    def restricts(self, subjects: Collection[str]) -> bool:
        """Returns whether it restricts a principal with this id and these groups."""
        named = not self.to or any(id in self.to for id in subjects)
        return named and not any(id in self.exempt for id in subjects)

    def covers(self, organization_id: str | None, asset: str) -> bool:
        """Returns whether it covers an asset of an organization."""
        return organization_id == self.organization_id and any(covers(pattern, asset) for pattern in self.assets)


@dataclass(frozen=True, slots=True)
class Reader:
    """A principal as a reader of rows."""

    id: str = ""
    subjects: frozenset[str] = frozenset()
    """Ids of the principal and of its groups, direct and indirect."""
    policies: tuple[RowPolicy, ...] = ()
    """The policies that restrict it."""

    def restricting(self, organization_id: str | None, asset: str) -> list[RowPolicy]:
        """Returns the policies that may restrict what it reads of an asset of an organization."""
        return [policy for policy in self.policies if policy.covers(organization_id, asset)]

    def in_project(self, organization_id: str | None, project: str) -> bool:
        """Returns whether a policy may restrict what it reads of a project of an organization."""
        return any(
            policy.organization_id == organization_id
            and any(fnmatchcase(project, pattern.partition(".")[0]) for pattern in policy.assets)
            for policy in self.policies
        )


NOBODY = Reader()


def reader_of(connection: Connection, principal_id: str, subjects: Iterable[str], rules: Iterable[Rule]) -> Reader:
    """Returns a principal as a reader.

    Args:
        connection: the transaction.
        principal_id: id of the principal.
        subjects: ids of the principal and of its groups.
        rules: what it is allowed. Only policies of organizations in which it is allowed anything are relevant.
    """
    reader = Reader(principal_id, frozenset(subjects))
    places = {rule.organization_id for rule in rules if not rule.denies}
    policies = active(connection, None if None in places else {id for id in places if id})
    return replace(reader, policies=tuple(policy for policy in policies if policy.restricts(reader.subjects)))


def active(connection: Connection, organizations: Collection[str] | None = None) -> list[RowPolicy]:
    """Returns the active policies of organizations, or of all if None."""
    if organizations is not None and not organizations:
        return []
    where = [RESOURCE.c.kind == POLICY, RESOURCE.c.state == PolicyState.ACTIVE.value, RESOURCE.c.deleted_at.is_(None)]
    if organizations is not None:
        where.append(RESOURCE.c.organization_id.in_(organizations))
    columns = RESOURCE.c.id, RESOURCE.c.name, RESOURCE.c.organization_id, sa.cast(RESOURCE.c.spec, sa.Text)
    rows = connection.execute(sa.select(*columns).where(*where).order_by(RESOURCE.c.id))
    return [policy_of(*row) for row in rows]


@lru_cache(maxsize=4096)
def policy_of(id: str, name: str, organization_id: str, spec: str) -> RowPolicy:
    """Returns the policy with a spec."""
    values = json.loads(spec)
    return RowPolicy(
        id,
        name,
        organization_id,
        tuple(values["assets"]),
        frozenset(values["to"]),
        frozenset(values["exempt"]),
        tuple(values["masks"]),
        values["row_filter"],
    )


def covers(pattern: str, asset: str) -> bool:
    """Returns whether a pattern of asset ids, such as `sales.*.customers`, covers an asset. `*` stays in its part."""
    parts, names = pattern.split("."), asset.split(".")
    return len(parts) == len(names) and all(map(fnmatchcase, names, parts))


def may_overlap(one: str, other: str) -> bool:
    """Returns whether two patterns may cover the same asset. If in doubt, they do."""
    return all(
        fnmatchcase(a, b) or fnmatchcase(b, a) or ("*" in a and "*" in b)
        for a, b in zip(one.split("."), other.split("."), strict=True)
    )
