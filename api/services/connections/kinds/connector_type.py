"""Connector types: the kinds of systems that a connection can lead to."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.kernel.filtering.filters import Field as Filter
from api.kernel.filtering.filters import FieldType
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.models import ListQuery, Model, Page, Query, Request
from api.kernel.storage.listing import Listing
from api.services.connections.logic.configurations import FieldName, checked, config_schema, require_connector
from connectors.connector import Capability, Category, Connector
from connectors.registry import CONNECTORS
from core.errors import InvalidPayload

_LISTING = Listing[Connector](
    id=lambda one: one.name,
    fields={
        "category": Filter(FieldType.STRING, read=lambda one: one.category.value),
        "title": Filter(FieldType.STRING, read=lambda one: one.title),
    },
)

CONNECTOR_TYPE = Kind(
    "connector_type",
    plural="connector-types",
    title="Connector type",
    description="A kind of system that connections lead to, with the schema of its configuration.",
    example="postgresql",
    scoped=True,
    filter_by=tuple(_LISTING.fields),
)


class TestStep(Model):
    """A step of the test of a connection."""

    name: str
    """Name."""

    title: str
    """What it does."""

    seconds: float
    """Seconds after which it fails."""


class ConnectorType(Model):
    """A kind of system that connections lead to."""

    id: str
    """Name, which is the `connector` of a connection."""

    title: str
    """Display name."""

    description: str
    """What it connects to."""

    category: Category
    """DATABASE, or OBJECT_STORE."""

    capabilities: list[Capability]
    """What its connections can do."""

    secrets: list[str]
    """Fields of the configuration that a connection takes from secrets."""

    steps: list[TestStep]
    """Steps of the test of a connection, in order."""

    verified: str
    """Servers that the test suite runs it against. Empty if nothing is proven."""


class ConnectorSchema(Model):
    """Schema of a configuration."""

    config: dict[str, Any]
    """JSON Schema of the configuration. Fields with `x-secret` are set by references to secrets."""


class ConfigCheck(Request):
    """A configuration to check."""

    config: dict[str, Any] = {}
    """The configuration, without secrets."""

    secrets: Annotated[list[FieldName], Field(max_length=20)] = []
    """Names of the fields that secrets will set."""


class ConfigFault(Model):
    """A fault of a configuration."""

    pointer: str
    """JSON pointer of the field."""

    detail: str
    """What is wrong."""


class ConfigVerdict(Model):
    """Result of a check."""

    valid: bool
    """Whether the configuration has no fault."""

    faults: list[ConfigFault]
    """Faults."""


class CapabilityOverview(Model):
    """Which connector types can do what."""

    capabilities: dict[Capability, list[str]]
    """Names of the connector types by what they can do."""


@CONNECTOR_TYPE.list(query=ListQuery, item=ConnectorType)
async def list_connector_types(ctx: Context, query: ListQuery) -> Page[ConnectorType]:
    """Lists connector types by name."""
    connectors, token = _LISTING.page(list(CONNECTORS.values()), query)
    return Page[ConnectorType](items=[_described(one) for one in connectors], next_page_token=token)


@CONNECTOR_TYPE.get(result=ConnectorType)
async def get_connector_type(ctx: Context, connector_type: str) -> ConnectorType:
    """Returns a connector type with the steps of its test."""
    return _described(_find(connector_type))


@CONNECTOR_TYPE.part("schema", query=Query, result=ConnectorSchema)
async def get_connector_type_schema(ctx: Context, connector_type: str, query: Query) -> ConnectorSchema:
    """Returns the JSON Schema of the configuration of a connection."""
    return ConnectorSchema(config=config_schema(_find(connector_type)))


@CONNECTOR_TYPE.action("validate", request=ConfigCheck, result=ConfigVerdict, reads=True)
async def validate_connector_type(ctx: Context, connector_type: str, request: ConfigCheck) -> ConfigVerdict:
    """Checks a configuration without connecting to anything, and returns all its faults."""
    try:
        checked(_find(connector_type).name, request.config, request.secrets, at="/config")
    except InvalidPayload as error:
        return ConfigVerdict(valid=False, faults=[ConfigFault.model_validate(fault) for fault in error.errors])
    return ConfigVerdict(valid=True, faults=[])


@CONNECTOR_TYPE.collection_read("capabilities", query=Query, result=CapabilityOverview)
async def read_connector_type_capabilities(ctx: Context, query: Query) -> CapabilityOverview:
    """Returns which connector types can do what."""
    return CapabilityOverview(
        capabilities={
            capability: sorted(one.name for one in CONNECTORS.values() if capability in one.capabilities)
            for capability in Capability
        }
    )


def _find(id: str) -> Connector:
    if id not in CONNECTORS:
        raise CONNECTOR_TYPE.unknown(id)
    return require_connector(id)


def _described(connector: Connector) -> ConnectorType:
    return ConnectorType(
        id=connector.name,
        title=connector.title,
        description=connector.description,
        category=connector.category,
        capabilities=sorted(connector.capabilities),
        secrets=connector.config.secret_fields(),
        steps=[TestStep(name=step.name, title=step.title, seconds=step.seconds) for step in connector.steps],
        verified=connector.verified,
    )
