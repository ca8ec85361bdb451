"""The OpenAPI documents: valid, complete and cached. `tests/fuzz` holds the answers against them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.kernel.documents.openapi import document
from api.main import SERVICES
from tests.conformance.operations import STORED

every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
SPARSE = ("admin_introspect",)
"""RFC 7662: of a token that does not hold, nothing but that is said."""


@every_service
def test_the_document_names_every_operation_once(service: Any) -> None:
    made = document(service)
    named = [operation["operationId"] for path in made["paths"].values() for operation in path.values()]
    assert sorted(named) == sorted(endpoint.operation_id for endpoint in service.endpoints)
    for schema in made["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@every_service
def test_the_server_is_the_platform_below_its_path_prefix(service: Any) -> None:
    assert document(service)["servers"] == [{"url": "/"}]
    assert document(service, "/headwater")["servers"] == [{"url": "/headwater/"}]


@every_service
def test_every_reference_leads_somewhere(service: Any) -> None:
    made = document(service)
    text = json.dumps(made)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        where: Any = made
        for step in reference.removeprefix("#/").split("/"):
            where = where[step]


@every_service
def test_every_output_field_is_required(service: Any) -> None:
    """Programs generated from the document need not ask whether a field is there; null says that there is nothing."""
    made = document(service)
    for endpoint in service.endpoints:
        answer = made["paths"][endpoint.path][endpoint.method.lower()]["responses"][str(endpoint.status)]
        reference = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
        if reference and endpoint.operation_id not in SPARSE:
            schema = made["components"]["schemas"][reference.rpartition("/")[2]]
            assert set(schema.get("required", ())) == set(schema["properties"]), endpoint.result


@pytest.mark.parametrize("kind", [kind for kind in STORED if kind.immutable], ids=lambda kind: kind.full_name)
def test_a_patch_offers_no_field_that_never_changes(kind: Any) -> None:
    [service] = [service for service in SERVICES if kind in service.kinds]
    schemas = document(service)["components"]["schemas"]
    offered = set(schemas[f"{kind.model.spec_type().__name__}Patch"]["properties"])
    assert offered == set(kind.model.spec_type().model_fields) - set(kind.immutable)
