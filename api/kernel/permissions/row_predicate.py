"""The visibility predicate: the condition for the rows of a table on which rules hold."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from api.kernel.permissions.conditions import stored_condition
from api.kernel.permissions.rule import Rule
from api.kernel.securable import PLATFORM
from api.kernel.tables import RESOURCE
from core import clock
from core.events import EVENT


class RowPredicate:
    """The predicates for the rows of a table on which rules hold."""

    def __init__(self, table: sa.Table, id: sa.ColumnElement[str], *, conditions: bool = True) -> None:
        self.conditions = conditions and table is RESOURCE
        self._columns = {"admin.organization": table.c.organization_id}
        if "project_id" in table.c:
            self._columns["admin.project"] = table.c.project_id
        self._id = id
        self._organization = table.c.organization_id
        # Events stay with their organization: those from before a project moved are visible to the former one only.
        self._stays = table is EVENT

    def matching(self, rules: Iterable[Rule]) -> sa.ColumnElement[bool]:
        """Returns the condition for rows that at least one of the rules applies to."""
        plain: dict[tuple[str, str | None], set[str]] = {}
        clauses: list[sa.ColumnElement[bool]] = []
        now = clock.now()
        for rule in rules:
            if rule.expires_at is not None and rule.expires_at <= now:
                continue
            condition = stored_condition(rule.condition) if rule.condition and self.conditions else None
            if condition is not None:
                below = self._below(rule.securable_kind, {rule.securable_id})
                clauses.append(sa.and_(below, condition.sql()))
            elif rule.condition and self.conditions and not rule.denies:
                continue  # the condition is malformed
            else:
                plain.setdefault((rule.securable_kind, self._tenant(rule)), set()).add(rule.securable_id)
        if any(kind == PLATFORM for kind, _ in plain):
            return sa.true()
        for (kind, tenant), ids in plain.items():
            below = self._below(kind, ids)
            clauses.append(below if tenant is None else sa.and_(below, self._organization == tenant))
        return sa.or_(sa.false(), *clauses)

    def _tenant(self, rule: Rule) -> str | None:
        """Returns the organization to which the rows must belong, if they stay with their organization."""
        narrow = self._stays and not rule.denies and rule.securable_kind != "admin.organization"
        return rule.organization_id if narrow else None

    def _below(self, kind: str, ids: set[str]) -> sa.ColumnElement[bool]:
        if kind == PLATFORM:
            return sa.true()
        column = self._columns.get(kind, self._id)
        return column.in_(sorted(ids)) if len(ids) > 1 else column == next(iter(ids))
