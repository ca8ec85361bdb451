"""The OpenAPI documents are true under a fuzzer: whatever is sent, by whomever.

What it costs is bounded. An operation that the kernel wrote alike for every stored kind, and whose request says nothing
of the kind, is fuzzed on one kind of each level of a service: the others run the same code on the same input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks

from api.kernel.documents.ledger import method_of
from api.kernel.documents.openapi import document
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.service import Service
from api.kernel.kinds.stored_kind import Method
from api.main import SERVICES
from tests.api_server import Server

EXAMPLES = 6
OF_THE_KIND = (Method.CREATE, Method.UPDATE, Method.LIST)
"""Standard methods whose body or answer is first of all the kind's own."""


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


def fuzzed(endpoints: Sequence[Endpoint]) -> set[str]:
    """The operations of a service that are fuzzed."""
    found, done = set(), set()
    for endpoint in endpoints:
        if isinstance(endpoint.kind, ResourceKind) and (method := method_of(endpoint)) and method not in OF_THE_KIND:
            alike = (endpoint.shape, method, endpoint.kind.level)
            if alike in done:
                continue
            done.add(alike)
        found.add(endpoint.operation_id)
    return found - {*LOGS_OUT}


def test_what_is_not_fuzzed_is_fuzzed_on_another_kind() -> None:
    for service in SERVICES:
        chosen = fuzzed(service.endpoints)
        present = {(one.shape, method_of(one), one.kind.level) for one in stored(service) if str(one) in chosen}
        for one in service.endpoints:
            if str(one) not in chosen and str(one) not in LOGS_OUT:
                assert isinstance(one.kind, ResourceKind), one
                assert method_of(one) not in (None, *OF_THE_KIND), one
                assert (one.shape, method_of(one), one.kind.level) in present, one


def stored(service: Service) -> list[Any]:
    return [one for one in service.endpoints if isinstance(one.kind, ResourceKind)]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # one test is a whole service
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_fuzzer_finds_nothing(server: Server, service: Service, mode: GenerationMode) -> None:
    """No 5xx; status, media type, shape as documented; nothing malformed accepted."""
    schema = schemathesis.openapi.from_dict(document(service))
    schema.config.update(base_url=server.url)
    schema.config.max_stream_events = 1  # a watch has no end
    # The admin comes furthest; the others mostly meet a refusal, so they take turns.
    others = cycle((server.tokens["tenant"], server.tokens["viewer"]))
    session = requests.Session()
    chosen = fuzzed(service.endpoints)
    for operation in schema.get_all_operations():
        made = operation.ok()
        raw = made.definition.raw
        # Any text is a valid header.
        has_input = "requestBody" in raw or any(one["in"] != "header" for one in raw.get("parameters", ()))
        if raw["operationId"] not in chosen or (mode is GenerationMode.NEGATIVE and not has_input):
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
            for token in (server.tokens["admin"], next(others)):
                answer = case.call(session=session, headers={"authorization": f"Bearer {token}"})
                case.validate_response(answer, checks=CHECKS)

        fuzz()
