"""What counts as a change in a GraphQL request."""

import json

import pytest

from api.gateways.graphql_policy import mutations, mutations_in_body, mutations_in_frame
from core.errors import InvalidPayload

JSON = "application/json; charset=utf-8"


def body(*documents: str) -> bytes:
    requests = [{"query": document} for document in documents]
    return json.dumps(requests if len(requests) > 1 else requests[0]).encode()


@pytest.mark.parametrize(
    "document", ["{ version }", "query Q { version }", "subscription { locationStateChangeEvents { x } }"]
)
def test_reading_is_no_change(document: str) -> None:
    assert mutations(document) == []


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("mutation { launchRun(executionParams: {}) { __typename } }", ["launchRun"]),
        ("query A { version } mutation B { wipeAssets(x: 1) { __typename } }", ["wipeAssets"]),
        (
            "mutation { innocent: reloadWorkspace { __typename } deleteRun(runId: 1) { x } }",
            ["reloadWorkspace", "deleteRun"],
        ),
        ("# query\nmutation { a { b } }", ["a"]),
        ("mutation M { ...F } fragment F on Mutation { terminateRun(runId: 1) { x } }", ["F"]),
        ("mutation M { ... on Mutation { terminateRun(runId: 1) { x } } }", ["fragment"]),
    ],
)
def test_every_mutation_counts(document: str, expected: list[str]) -> None:
    assert mutations(document) == expected


def test_a_batch_cannot_hide_a_mutation() -> None:
    assert mutations_in_body(body("{ version }", "mutation { wipeAssets { x } }"), JSON) == ["wipeAssets"]


@pytest.mark.parametrize(
    ("payload", "content_type"),
    [
        (b"query=mutation{x}", "application/x-www-form-urlencoded"),
        (b"--b", "multipart/form-data; boundary=b"),
        (b"mutation { x }", "application/graphql"),
        (b"[" * 100_000, JSON),
        (b"{}", JSON),
        (b'{"query": 3}', JSON),
        (b'{"query": "mutation {"}', JSON),
    ],
)
def test_what_cannot_be_judged_is_refused(payload: bytes, content_type: str) -> None:
    with pytest.raises(InvalidPayload):
        mutations_in_body(payload, content_type)


@pytest.mark.parametrize("kind", ["start", "subscribe"])
def test_a_socket_message_is_judged_like_a_request(kind: str) -> None:
    frame = json.dumps({"type": kind, "id": "1", "payload": {"query": "mutation { launchRun { x } }"}})
    assert mutations_in_frame(frame) == ["launchRun"]


def test_control_messages_pass() -> None:
    assert mutations_in_frame('{"type": "connection_init", "payload": {}}') == []
