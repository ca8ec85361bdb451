"""What a GraphQL request does, and that what is sent on is what was judged."""

import json

import pytest
from dagster_graphql.schema import create_schema
from graphql import OperationType, parse

from api.gateways.dagster_rights import CHANGE, ENTER, MUTATIONS, REFUSED
from api.gateways.graphql_policy import Operation, parse_frame, parse_request
from core.errors import InvalidPayload, UnsupportedMediaType

JSON = "application/json; charset=utf-8"


def judged(document: str, **extra: object) -> Operation:
    return parse_request(json.dumps({"query": document, **extra}).encode(), JSON)


@pytest.mark.parametrize(
    "document", ["{ version }", "query Q { version }", "query Q @a { ...F } fragment F on Query { b }"]
)
def test_reading_is_no_change(document: str) -> None:
    found = judged(document)
    assert (found.kind, found.mutations) == (OperationType.QUERY, ())
    assert parse(json.loads(found.text)["query"], no_location=True) == parse(document, no_location=True)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("mutation { launchRun(executionParams: {}) { __typename } }", ("launchRun",)),
        (
            "mutation { innocent: reloadWorkspace { __typename } deleteRun(runId: 1) { x } }",
            ("reloadWorkspace", "deleteRun"),
        ),
        ("# query\nmutation { a { b } }", ("a",)),
        ("mutation { __typename }", ()),
        ("mutation { reloadWorkspace: deleteRun(runId: 1) { x } }", ("deleteRun",)),
        ("mutation M { ...F } fragment F on Mutation { terminateRun(runId: 1) { x } }", ("terminateRun",)),
        ("mutation M { ...F } fragment F on Mutation { ...G } fragment G on Mutation { a }", ("a",)),
        ("mutation M { ... on Mutation { terminateRun(runId: 1) { x } } }", ("terminateRun",)),
        ("mutation M($no: Boolean = false) { a @include(if: $no) }", ("a",)),
    ],
)
def test_every_mutation_counts_by_its_own_name(document: str, expected: tuple[str, ...]) -> None:
    found = judged(document)
    assert (found.kind, found.mutations) == (OperationType.MUTATION, expected)


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 100_000,
        b"{}",
        b'{"query": 3}',
        b'{"query": "mutation {"}',
        b'{"query": "query A { version } mutation B { a }", "operationName": "A"}',
        b'{"query": "{ version } type Query { a: Int }"}',
        b'{"query": "{ ...F } fragment F on Query { a } fragment F on Query { b }"}',
        b'{"query": "mutation { ...F } fragment F on Mutation { ...F }"}',
        b'{"query": "mutation { ...F }"}',
        b'{"query": "query A { version }", "operationName": "B"}',
        b'{"query": "query A { version }", "operationName": ["A"]}',
        b'{"query": "{ version }", "query": "mutation { a }"}',
        b'{"query": "{ version }", "variables": {"a": 1, "a": 2}}',
        b'{"query": "{ version }", "variables": "{}"}',
        b'{"query": "{ version }", "variables": {"a": NaN}}',
        b'[{"query": "{ version }"}]',
        b'{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "a"}}}',
        b'{"query": "subscription { a }"}',
        '{"query": "{ version }"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"query": "{ version }"}',
        b'{"query": "{ \xff }"}',
    ],
)
def test_what_cannot_be_judged_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidPayload):
        parse_request(payload, "application/json")


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "application/graphql", "text/plain"),
        *("", "application/json; charset=utf-16", "application/json, application/graphql", "application/jsonp"),
    ],
)
def test_only_json_is_read(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        parse_request(b'{"query": "{ version }"}', content_type)


@pytest.mark.parametrize("kind", ["start", "subscribe"])
def test_a_socket_message_is_judged_like_a_request(kind: str) -> None:
    frame = json.dumps({"type": kind, "id": "1", "payload": {"query": "mutation { launchRun { x } }"}, "more": 1})
    found = parse_frame(frame)
    assert isinstance(found, Operation)
    assert (found.kind, found.mutations) == (OperationType.MUTATION, ("launchRun",))
    assert json.loads(found.text).keys() == {"type", "id", "payload"}


def test_control_messages_pass_without_what_they_carry() -> None:
    assert (
        parse_frame('{"type": "connection_init", "payload": {"query": "mutation { a }"}}')
        == '{"type": "connection_init"}'
    )


@pytest.mark.parametrize(
    "frame",
    [
        *("", "[]", '[{"type": "start"}]', '{"type": "START"}', '{"type": "data"}', '{"type": ["start"]}', "{} {}"),
        *('{"type": "stop", "type": "start"}', '{"type": "stop", "id": 3}', '{"type": "start", "id": "1"}'),
        '{"type": "start", "id": "1", "payload": [{"query": "{ a }"}]}',
        json.dumps({"type": "stop", "id": "x" * 1000}),
    ],
)
def test_what_is_no_message_is_refused(frame: str) -> None:
    with pytest.raises(InvalidPayload):
        parse_frame(frame)


def test_every_mutation_of_dagster_is_offered_with_a_right_or_refused() -> None:
    """The list is complete: an upgrade of Dagster that brings a mutation is decided here."""
    schema = create_schema().graphql_schema
    assert schema.mutation_type is not None
    assert MUTATIONS.keys() | REFUSED == schema.mutation_type.fields.keys()
    assert not MUTATIONS.keys() & REFUSED
    assert set(MUTATIONS.values()) == {CHANGE}
    assert ENTER != CHANGE
