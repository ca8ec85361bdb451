"""Contracts of data sets: terms that the versions of an asset must meet, with consumers who consent to weaker ones."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

import sqlalchemy as sa
from pydantic import Field, model_validator

from api.kernel import references
from api.kernel.kinds.resource import Spec, Text, Title
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId, ColumnName
from api.kernel.models import Model, Request
from api.kernel.permissions.graph import asset_securable
from api.services.ai_catalog.logic.contract_teams import team_rows, visible_teams
from api.services.ai_catalog.logic.readable_tables import require_rows
from api.services.ai_catalog.logic.visible_names import one_of, visible_names
from core.contracts import CONTRACT as TABLE
from core.contracts import ContractState
from core.errors import Conflict, InvalidPayload, UnknownAsset

MAX_ROWS = 2**53

Columns = Annotated[list[ColumnName], Field(min_length=1, max_length=100)]


class ColumnTerm(Spec):
    """A column that the table has."""

    name: ColumnName
    """Name of the column."""

    type: Annotated[str, Field(min_length=1, max_length=1000)]
    """Arrow type of the column, as in `schema` of the asset, such as `int64` or `string`."""

    nullable: bool = True
    """Whether values can be missing."""


class Bounds(Spec):
    """Inclusive bounds of a numeric column. Missing values pass."""

    column: ColumnName
    """Name of the column."""

    min: float | None = None
    """Lowest value."""

    max: float | None = None
    """Highest value."""


class QualityRule(Spec):
    """A rule for rows: exactly one of `unique`, `not_null`, `range`, and `holds`. As in checks of components."""

    name: Title
    """What the rule says, for people. It identifies the rule in the versions of the contract."""

    unique: Columns | None = None
    """Columns that together identify a row."""

    not_null: Columns | None = None
    """Columns without missing values."""

    range: Bounds | None = None
    """Bounds of a numeric column."""

    holds: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    """SQL expression over one row. Rows for which it is false break the rule."""

    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of rows that may break the rule."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(rule is not None for rule in (self.unique, self.not_null, self.range, self.holds)) != 1:
            raise ValueError("must have exactly one of unique, not_null, range, and holds")
        return self


class Terms(Spec):
    """Terms that each version of the asset meets."""

    columns: Annotated[list[ColumnTerm], Field(max_length=1000)] = []
    """Columns that the table has. It may have others."""

    min_rows: Annotated[int, Field(ge=0, le=MAX_ROWS)] | None = None
    """Lowest number of rows."""

    max_rows: Annotated[int, Field(ge=0, le=MAX_ROWS)] | None = None
    """Highest number of rows."""

    max_age_hours: Annotated[int, Field(ge=1, le=24 * 3660)] | None = None
    """Hours after which the newest rows are too old, so that no step reads them. A step that finds the same rows again
    makes them new."""

    rules: Annotated[list[QualityRule], Field(max_length=100)] = []
    """Rules for rows, with different names."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for names in ([rule.name for rule in self.rules], [column.name for column in self.columns]):
            if len(set(names)) < len(names):
                raise ValueError("names of rules and of columns must differ")
        return self


class Contract(Model):
    """A version of the contract of an asset: terms that each version of the asset must meet."""

    id: str
    """Id of the version of the contract."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    asset: str
    """Id of the asset."""

    version: int
    """Number of the version, counted from 1 for each asset."""

    state: ContractState
    """State of the version."""

    contact: str
    """Who is responsible: a team, an address, or a name."""

    terms: Terms
    """The terms."""

    consumers: list[str]
    """Ids of assets that rely on it, in addition to the assets downstream."""

    teams: list[str]
    """Ids of groups that rely on it."""

    consents: dict[str, datetime]
    """Times at which consumers consented to this version, by the ids of the assets and groups."""

    created_at: datetime
    """Time of the proposal."""

    created_by: str
    """Name of the principal that proposed it."""

    activated_at: datetime | None
    """Time of its activation. Null until then."""


class NewContract(Request):
    """The next version of the contract of an asset."""

    asset: AssetId
    """Id of the asset."""

    contact: Annotated[Text, Field(min_length=1, max_length=128)]
    """Who is responsible: a team, an address, or a name."""

    terms: Terms
    """The terms."""

    consumers: Annotated[list[AssetId], Field(max_length=100)] = []
    """Ids of assets that rely on it, in addition to the assets downstream."""

    teams: Annotated[list[references.Group], Field(max_length=100)] = []
    """Groups of the organization that rely on it. The caller is a member of each, or can see it."""


class ContractKind(TableKind[Contract]):
    """Contracts, visible to those who can see the asset."""

    def visible(self, unit: Unit) -> sa.ColumnElement[bool]:
        """Returns the condition for the rows that the caller can see."""
        named = unit.connection.execute(sa.select(TABLE.c.asset).distinct()).scalars()
        names = visible_names(unit.platform, unit.principal.access, named)
        return sa.and_(super().visible(unit), one_of(TABLE.c.asset, names, unit.connection.dialect.name))


def _contract(unit: Unit, row: Row) -> Contract:
    """Returns what the caller sees of a row: no consumers and teams that they can't see."""
    access = unit.principal.access
    visible = visible_names(unit.platform, access, {*row.consumers, *row.consents})
    visible |= visible_teams(unit, {*row.teams, *row.consents})
    values = {name: getattr(row, name) for name in Contract.model_fields}
    values["consumers"] = [name for name in row.consumers if name in visible]
    values["teams"] = [id for id in row.teams if id in visible]
    values["consents"] = {name: at for name, at in row.consents.items() if name in visible}
    return Contract.model_validate(values)


CONTRACT = ContractKind(
    Contract,
    TABLE,
    plural="contracts",
    prefix="ctr",
    filter_by=("asset", "version", "state", "contact"),
    item=_contract,
)


@CONTRACT.creation(request=NewContract, result=Contract, past="proposed")
def propose_contract(unit: Unit, request: NewContract) -> Contract:
    """Proposes the next version of the contract of an asset. It has no effect until it is activated.

    The caller must be able to read the rows of the asset, because the status of the contract describes them.
    """
    place = asset_securable(unit.platform, request.asset)
    known = unit.platform.orchestrator.view().nodes
    consumers = visible_names(unit.platform, unit.principal.access, request.consumers)
    visible = visible_names(unit.platform, unit.principal.access, [request.asset])
    for name in (request.asset, *request.consumers):
        if name not in known or name not in {*visible, *consumers}:
            raise UnknownAsset(f"There is no asset {name!r}.")
    if place.project_id is None:
        raise Conflict(f"{request.asset} belongs to no registered project, so it can't have a contract.")
    require_rows(unit, request.asset)
    for n, id in enumerate(request.teams):
        if not team_rows(unit, [id], place.organization_id) or not visible_teams(unit, [id]):
            fault = {"pointer": f"/teams/{n}", "detail": "is the id of no group of the organization that you may see"}
            raise InvalidPayload(f"There is no group {id!r}.", errors=[fault])
    numbers = sa.select(sa.func.max(TABLE.c.version)).where(TABLE.c.asset == request.asset)
    unit.call.note(asset=request.asset)
    return CONTRACT.add(
        unit,
        organization_id=place.organization_id,
        project_id=place.project_id,
        asset=request.asset,
        version=(unit.connection.execute(numbers).scalar() or 0) + 1,
        state=ContractState.DRAFT.value,
        contact=request.contact,
        terms=request.terms.model_dump(mode="json"),
        consumers=sorted(set(request.consumers) - {request.asset}),
        teams=sorted(set(request.teams)),
        consents={},
        created_at=unit.now,
        created_by=unit.principal.name,
    )


@CONTRACT.deletion()
def withdraw_contract(unit: Unit, contract: Row) -> None:
    """Withdraws a proposal. A version that was active stays on record."""
    require_draft(contract)
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == contract.id))


def require_draft(contract: Row) -> None:
    """Raises `Conflict` unless the version is a draft."""
    if contract.state != ContractState.DRAFT.value:
        raise Conflict(f"Version {contract.version} is {contract.state}. Propose another version.")
