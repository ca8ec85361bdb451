"""Data sets: what people state about an asset that holds data, such as its licence and its sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import AfterValidator, Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Text, Title
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.models import Model, Query, Request, Url
from api.kernel.permissions.graph import asset_securable
from api.kernel.roles import Role
from api.services.ai_catalog.dataset_tables import DATASET as TABLE
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.readable_tables import require_rows
from api.services.ai_catalog.logic.sensitivity import Sensitivity, effective_sensitivity, highest
from api.services.ai_catalog.logic.visible_names import one_of, visible_names
from core.errors import Conflict, InvalidPayload, UnknownAsset


def _license(text: str) -> str:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression as error:
        raise ValueError(f"must be an SPDX expression such as CC-BY-4.0, or LicenseRef-<name>: {error}") from None


License = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_license)]
"""An SPDX license expression, such as `CC-BY-4.0`. Your own license begins with `LicenseRef-`."""

LongText = Annotated[str, Field(max_length=50_000)]


class DatasetLink(Request):
    """A page about a data set."""

    title: Title
    """What the page is."""

    url: Url
    """Address of the page."""


Links = Annotated[list[DatasetLink], Field(max_length=50)]
Contact = Annotated[Text, Field(max_length=128)]


class Dataset(Model):
    """What people state about an asset that holds data, such as its license and its sensitivity."""

    id: str
    """Id of the description."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    asset: str
    """Id of the asset."""

    title: str
    """Display name."""

    description: str
    """What the data is, in Markdown."""

    license: str | None
    """SPDX license expression. Null if it isn't known."""

    sensitivity: Sensitivity
    """Own sensitivity."""

    effective_sensitivity: Sensitivity
    """The highest of this sensitivity and those of everything that the asset was produced from."""

    declassified_because: str | None
    """Why the inherited sensitivity doesn't count. Null if it does."""

    contact: str
    """Who is responsible for the data: a team, an address, or a name."""

    citation: str
    """How to cite the data, as text or BibTeX."""

    links: list[DatasetLink]
    """Pages about the data."""

    created_at: datetime
    """Time of the first description."""

    created_by: str
    """Name of the principal that described it first."""

    updated_at: datetime
    """Time of the last change."""

    updated_by: str
    """Name of the principal that changed it last."""


class NewDataset(Request):
    """A description of an asset."""

    asset: AssetId
    """Id of the asset."""

    title: Title
    """Display name."""

    description: LongText = ""
    """What the data is, in Markdown."""

    license: License | None = None
    """SPDX license expression, such as `CC-BY-4.0`. Your own license begins with `LicenseRef-`."""

    sensitivity: Sensitivity = Field(default=Sensitivity.INTERNAL, strict=False)
    """Own sensitivity."""

    contact: Contact = ""
    """Who is responsible for the data: a team, an address, or a name."""

    citation: LongText = ""
    """How to cite the data, as text or BibTeX."""

    links: Links = []
    """Pages about the data."""


class DatasetChange(Request):
    """A change of a description."""

    title: Title | None = None
    """Display name."""

    description: LongText | None = None
    """What the data is, in Markdown."""

    license: License | None = None
    """SPDX license expression. Null if it isn't known."""

    sensitivity: Sensitivity | None = Field(default=None, strict=False)
    """Own sensitivity: the present one or a higher one. `:declassify` lowers it."""

    contact: Contact | None = None
    """Who is responsible for the data: a team, an address, or a name."""

    citation: LongText | None = None
    """How to cite the data, as text or BibTeX."""

    links: Links | None = None
    """Pages about the data."""


class DeclassifyDataset(Request):
    """A sensitivity that replaces the inherited one."""

    sensitivity: Sensitivity = Field(strict=False)
    """Sensitivity of the asset, whatever it is produced from."""

    reason: Annotated[Text, Field(min_length=1)]
    """Why the asset is not as sensitive as what it was produced from."""


class AssetDataset(Model):
    """What is stated about an asset, and its sensitivity."""

    asset: str
    """Id of the asset."""

    dataset: Dataset | None
    """The description. Null if none is."""

    effective_sensitivity: Sensitivity | None
    """The highest of the stated sensitivity and those of everything that it was produced from. Null if none is."""


class DatasetKind(TableKind[Dataset]):
    """Descriptions, visible to those who can see the asset."""

    def visible(self, unit: Unit) -> sa.ColumnElement[bool]:
        """Returns the condition for the rows that the caller can see."""
        named = unit.connection.execute(sa.select(TABLE.c.asset)).scalars()
        names = visible_names(unit.platform, unit.principal.access, named)
        return sa.and_(super().visible(unit), one_of(TABLE.c.asset, names, unit.connection.dialect.name))


def _datasets(unit: Unit, rows: Sequence[Row]) -> list[Dataset]:
    assets: dict[str, list[str]] = {}
    for row in rows:
        assets.setdefault(row.organization_id, []).append(row.asset)
    effective: dict[str, Sensitivity | None] = {}
    for organization, some in assets.items():
        effective |= effective_sensitivity(unit.connection, organization, some)
    columns = Dataset.model_fields.keys() - {"effective_sensitivity"}
    return [
        Dataset(
            **{name: row._mapping[name] for name in columns},
            effective_sensitivity=effective[row.asset] or Sensitivity(row.sensitivity),
        )
        for row in rows
    ]


DATASET = DatasetKind(
    Dataset,
    TABLE,
    plural="datasets",
    prefix="dst",
    filter_by=("asset", "license", "sensitivity", "contact", "project_id"),
    items=_datasets,
)


@DATASET.creation(request=NewDataset, result=Dataset, past="described")
def create_dataset(unit: Unit, request: NewDataset) -> Dataset:
    """Describes an asset. An asset has at most one description."""
    place = asset_securable(unit.platform, request.asset)
    known = unit.platform.orchestrator.view().nodes
    if request.asset not in known or not visible_names(unit.platform, unit.principal.access, [request.asset]):
        raise UnknownAsset(f"There is no asset {request.asset!r}.")
    if place.project_id is None:
        raise Conflict(f"{request.asset} belongs to no registered project, so it can't be described.")
    unit.call.note(asset=request.asset, sensitivity=request.sensitivity, license=request.license)
    try:
        return DATASET.add(
            unit,
            organization_id=place.organization_id,
            project_id=place.project_id,
            **request.model_dump(mode="json"),
            created_at=unit.now,
            created_by=unit.principal.name,
            updated_at=unit.now,
            updated_by=unit.principal.name,
        )
    except sa.exc.IntegrityError:
        raise Conflict(f"{request.asset} is described already. Change that description.") from None


@DATASET.modification(request=DatasetChange, result=Dataset)
def update_dataset(unit: Unit, dataset: Row, request: DatasetChange) -> Dataset:
    """Changes a description. The sensitivity can only rise."""
    values = request.model_dump(mode="json", exclude_unset=True)
    if not values:
        raise InvalidPayload("Nothing to change: send at least one field.")
    for name, value in values.items():
        if value is None and name != "license":
            raise InvalidPayload(f"{name} needs a value.", errors=[{"pointer": f"/{name}", "detail": "is null"}])
    before = Sensitivity(dataset.sensitivity)
    if request.sensitivity is not None and highest([before, request.sensitivity]) != request.sensitivity:
        fault = {"pointer": "/sensitivity", "detail": f"is lower than {before}"}
        raise InvalidPayload("A change can only raise the sensitivity. Use `:declassify`.", errors=[fault])
    unit.call.note(**{name: value for name, value in values.items() if name in ("sensitivity", "license")})
    return _changed(unit, dataset, **values)


@DATASET.command("declassify", request=DeclassifyDataset, result=Dataset, role=Role.ADMIN, past="declassified")
def declassify_dataset(unit: Unit, dataset: Row, request: DeclassifyDataset) -> Dataset:
    """States the sensitivity of an asset, whatever it is produced from. The caller must be able to read its rows."""
    require_rows(unit, dataset.asset)
    facts = {"asset": dataset.asset, "before": dataset.sensitivity, "sensitivity": request.sensitivity.value}
    unit.call.note(**facts, reason=request.reason)
    return _changed(unit, dataset, sensitivity=request.sensitivity.value, declassified_because=request.reason)


@DATASET.deletion(role=Role.ADMIN)
def delete_dataset(unit: Unit, dataset: Row) -> None:
    """Deletes a description, and with it the own sensitivity of the asset. The caller must be able to read its rows."""
    require_rows(unit, dataset.asset)
    unit.call.note(asset=dataset.asset, sensitivity=dataset.sensitivity)
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == dataset.id))


@ASSET.part("dataset", query=Query, result=AssetDataset)
async def get_asset_dataset(ctx: Context, asset: str, query: Query) -> AssetDataset:
    """Returns what is stated about an asset, and its sensitivity, also if it is only inherited."""
    lookup.asset(ctx.view(), asset)

    def read(unit: Unit) -> AssetDataset:
        organization = str(asset_securable(unit.platform, asset).organization_id)
        same = TABLE.c.asset == asset, TABLE.c.organization_id == organization
        row = unit.connection.execute(sa.select(TABLE).where(*same)).first()
        return AssetDataset(
            asset=asset,
            dataset=DATASET.item(unit, row) if row else None,
            effective_sensitivity=effective_sensitivity(unit.connection, organization, [asset])[asset],
        )

    return await ctx.read(read)


def _changed(unit: Unit, dataset: Row, **values: Any) -> Dataset:
    return DATASET.change(unit, dataset, **values, updated_at=unit.now, updated_by=unit.principal.name)
