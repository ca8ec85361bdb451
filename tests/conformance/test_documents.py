"""The OpenAPI documents: valid, complete, cached, and true under a fuzzer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode, checks

from api.kernel.documents.openapi import document
from api.main import SERVICES
from tests.api_server import Server
from tests.conformance.operations import STORED

every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
EXAMPLES = 6
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("home")) as started:
        started.add_tenant("tenant")
        yield started


CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
LOGS_OUT = ("admin_logout", "admin_delete_session", "admin_update_settings")
"""Would end the fuzzer's own login."""


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
@every_service
def test_a_fuzzer_finds_nothing(server: Server, service: Any, mode: GenerationMode) -> None:
    """Whatever is sent, by whomever: no 5xx; status, media type, shape as documented; nothing malformed accepted."""
    schema = schemathesis.openapi.from_dict(document(service))
    schema.config.update(base_url=server.url)
    schema.config.max_stream_events = 1  # a watch has no end
    tokens = [server.tokens[role] for role in ("tenant", "viewer", "admin")]
    session = requests.Session()
    for operation in schema.get_all_operations():
        made = operation.ok()
        if made.definition.raw["operationId"] in LOGS_OUT:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=made.as_strategy(generation_mode=mode))
        def fuzz(case: Any) -> None:
            for token in tokens:
                answer = case.call(session=session, headers={"authorization": f"Bearer {token}"})
                case.validate_response(answer, checks=CHECKS)

        fuzz()
