"""Agreement on a version of a contract: its changes, the consent of consumers, and its activation."""

from __future__ import annotations

from typing import Any, Self

import sqlalchemy as sa
from pydantic import model_validator

from api.kernel import references
from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.graph import asset_securable
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.contract import CONTRACT, Contract, require_draft
from api.services.ai_catalog.logic.contract_changes import changes
from api.services.ai_catalog.logic.contract_teams import is_member, team_rows, visible_teams
from api.services.ai_catalog.logic.readable_tables import require_rows
from api.services.ai_catalog.logic.visible_names import visible_names
from core import contracts
from core.contracts import CONTRACT as TABLE
from core.contracts import ContractState
from core.errors import Conflict, NotFound, PermissionDenied, UnknownTable

_CHANGE_CONSUMER = "ai_catalog.asset.materialize"


class ContractDiff(Model):
    """What a version changes, compared with the active version."""

    breaking: list[str]
    """Changes that weaken the promise. They need the consent of all consumers."""

    compatible: list[str]
    """Changes that consumers need not consent to."""

    awaited: list[str]
    """Ids of the consumers that must still consent and that the caller can see."""

    awaited_teams: list[str]
    """Ids of the groups that must still consent and that the caller can see."""

    hidden: int
    """Number of others."""


class Consent(Request):
    """The consumer that consents."""

    asset: AssetId | None = None
    """Id of an asset downstream, or of a declared consumer."""

    team: references.Group | None = None
    """Instead of an asset: a group that relies on the contract."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.asset is None) == (self.team is None):
            raise ValueError("needs either asset or team")
        return self


@CONTRACT.view("diff", query=Query, result=ContractDiff)
def get_contract_diff(unit: Unit, contract: Row, query: Query) -> ContractDiff:
    """Returns what a version changes compared with the active version, and whose consent it needs."""
    active = contracts.active(unit.connection, contract.asset)
    breaking, compatible = changes(active.terms if active else None, contract.terms)
    awaited = _awaited(unit, contract) if breaking else set()
    visible, teams = _visible(unit, awaited)
    return ContractDiff(
        breaking=breaking,
        compatible=compatible,
        awaited=visible,
        awaited_teams=teams,
        hidden=len(awaited) - len(visible) - len(teams),
    )


@CONTRACT.command("consent", request=Consent, result=Contract, past="consented")
def consent_contract(unit: Unit, contract: Row, request: Consent) -> Contract:
    """Consents to a draft for a consumer.

    The caller must be able to materialize the asset that relies on the contract, or be a member of the group.
    """
    require_draft(contract)
    if request.asset is None:
        return _consent_for_team(unit, contract, request.team or "")
    visible = visible_names(unit.platform, unit.principal.access, [request.asset])
    if request.asset not in visible or request.asset not in _consumers(unit, contract):
        raise NotFound(f"{contract.asset} has no consumer {request.asset!r}.")
    if not unit.allows(_CHANGE_CONSUMER, asset_securable(unit.platform, request.asset)):
        raise denied(_CHANGE_CONSUMER)
    unit.call.note(asset=contract.asset, consumer=request.asset)
    return CONTRACT.change(unit, contract, consents={**contract.consents, request.asset: unit.now.isoformat()})


@CONTRACT.action("activate", request=Request, result=Contract)
async def activate_contract(ctx: Context, contract: str, request: Request) -> Contract:
    """Makes a draft the active contract of its asset. The version before is superseded.

    Refused if the newest version of the asset breaks the terms, or if the draft weakens the active contract and a
    consumer has not consented.
    """

    def authorized(unit: Unit) -> Row:
        row = CONTRACT.row(unit, contract, "activate")
        unit.call.subject = row.id
        require_draft(row)
        require_rows(unit, row.asset)
        return row

    draft = await ctx.read(authorized)
    faults = await ctx.compute(newest_faults, ctx.platform, draft)
    if faults:
        raise Conflict(f"The newest version of {draft.asset} breaks the terms: {' '.join(faults)}")

    def activate(unit: Unit) -> Contract:
        row = authorized(unit)
        active = contracts.active(unit.connection, row.asset)
        breaking, _ = changes(active.terms if active else None, row.terms)
        if breaking and (awaited := _awaited(unit, row)):
            visible, teams = _visible(unit, awaited)
            hidden = len(awaited) - len(visible) - len(teams)
            raise Conflict(
                f"The draft breaks consumers ({' '.join(breaking)}) and {len(awaited)} have not consented.",
                metadata={"breaking": breaking, "awaited": visible, "awaited_teams": teams, "hidden": hidden},
            )
        superseded = TABLE.c.asset == row.asset, TABLE.c.state == ContractState.ACTIVE.value
        unit.connection.execute(TABLE.update().where(*superseded).values(state=ContractState.SUPERSEDED.value))
        unit.call.note(asset=row.asset, version=row.version, supersedes=active.id if active else None)
        return CONTRACT.change(unit, row, state=ContractState.ACTIVE.value, activated_at=unit.now)

    return await ctx.write(activate)


def newest_faults(platform: Platform, contract: Row) -> list[str]:
    """Returns how the newest version of the asset breaks a contract. None if there is no version yet."""
    from lakehouse.contract_terms import faults

    try:
        return faults(contract.terms, platform.part(open_tables).snapshot(contract.asset))
    except UnknownTable:
        return []


def _consent_for_team(unit: Unit, contract: Row, team: str) -> Contract:
    """Consents for a group. Who isn't its member and can't see it gets the answer for a group that doesn't exist."""
    if team not in _teams(unit, contract) or not visible_teams(unit, [team]):
        raise NotFound(f"{contract.asset} has no consumer {team!r}.")
    if not is_member(unit, team):
        raise PermissionDenied("Only a member of the group consents for it.")
    unit.call.note(asset=contract.asset, team=team)
    return CONTRACT.change(unit, contract, consents={**contract.consents, team: unit.now.isoformat()})


def _consumers(unit: Unit, contract: Row) -> set[str]:
    """Returns the declared consumers and the assets downstream, also those that the caller can't see."""
    downstream = unit.platform.orchestrator.view().downstream.get(contract.asset, ())
    return {*contract.consumers, *_in_active(unit, contract, TABLE.c.consumers), *downstream}


def _teams(unit: Unit, contract: Row) -> set[str]:
    """Returns the groups that the draft or the active version names, also those that the caller can't see."""
    named = {*contract.teams, *_in_active(unit, contract, TABLE.c.teams)}
    return team_rows(unit, named, contract.organization_id)


def _in_active(unit: Unit, contract: Row, column: sa.Column[Any]) -> list[str]:
    active = TABLE.c.asset == contract.asset, TABLE.c.state == ContractState.ACTIVE.value
    return unit.connection.execute(sa.select(column).where(*active)).scalar() or []


def _visible(unit: Unit, consumers: set[str]) -> tuple[list[str], list[str]]:
    """Returns the assets and the groups that the caller can see."""
    return sorted(visible_names(unit.platform, unit.principal.access, consumers)), sorted(
        visible_teams(unit, consumers)
    )


def _awaited(unit: Unit, contract: Row) -> set[str]:
    return (_consumers(unit, contract) | _teams(unit, contract)) - set(contract.consents)
