"""The kind of fault: a proxy judges one reading of a request and passes on another.

Whatever a caller sends to the Dagster UI as bytes, what reaches Dagster is one of a few paths, and its GraphQL is the
document that was judged. A viewer's request that reaches Dagster contains no mutation, and an editor's mutation is
recorded before it is sent and with its outcome after.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from graphql import OperationDefinitionNode, OperationType, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.loopback import HEADER, loopback_key
from tests.api_server import Server

JSON = "application/json"
READ = "query Q { version }"
CHANGE = 'mutation { terminateRun(runId: "r") { __typename } }'
CHANGES = (
    CHANGE,
    "mutation M { ...F } fragment F on Mutation { deleteRun(runId: 1) { __typename } }",
    "mutation { innocent: deletePipelineRun(runId: 1) @include(if: true) { __typename } }",
    "mutation { ... on Mutation { wipeAssets(x: 1) { __typename } } }",
    "# query\r mutation { launchRun(executionParams: {}) { __typename } }",
    "mutation { notOfDagster { x } }",
    "query A { version } mutation B { deleteRun(runId: 1) { x } }",
    "\ufeffmutation { deleteRun(runId: 1) { x } }",
)
DOCUMENTS = (
    *CHANGES,
    READ,
    "{ version }",
    'query { a(text: """mutation { deleteRun }""") }',
    "subscription { capturedLogs(logKey: []) { stdout } }",
    "fragment F on Mutation { deleteRun }",
    "type Query { a: Int }",
    "mutation {",
    "",
)
KNOWN = re.compile(
    r"/dagster/(?:|graphql|server_info|dagit_info|manifest\.json|(?:_next/static|vendor)/[\w./~&+@-]+|logs/[\w./-]+"
    r"|download_debug/[\w-]+|favicon[\w.-]*|robots\.txt|report_asset_(?:check|materialization|observation)/[\w./-]+)"
)


@dataclass
class Upstream:
    """A webserver that keeps what it is asked."""

    port: int
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=lambda: {"data": {"terminateRun": {"__typename": "Done"}}})


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.seen.append((self.command, self.path, headers, body))
            content = json.dumps(found.answer).encode()
            self.send_response(200)
            self.send_header("content-type", JSON)
            self.send_header("set-cookie", "theirs=1")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    for verb in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"):
        setattr(Handler, f"do_{verb}", Handler.serve)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Upstream(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    with Server(home, HEADWATER_DAGSTER_URL=f"http://127.0.0.1:{upstream.port}") as started:
        yield started


def send(
    server: Server, token: str, method: str, target: str, body: bytes = b"", content_type: str = "", **extra: str
) -> int:
    """Sends a request byte by byte as given and returns the status of the answer."""
    headers = {"host": "headwater.test", "authorization": f"Bearer {token}", "connection": "close"}
    headers |= {"content-length": str(len(body))} | ({"content-type": content_type} if content_type else {})
    headers |= {name.replace("_", "-"): value for name, value in extra.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return int(received.split(b" ", 2)[1])


def documents(body: bytes) -> list[OperationDefinitionNode]:
    """The operations of what Dagster was sent, read as Dagster reads it."""
    sent = json.loads(body)
    assert set(sent) == {"query", "variables", "operationName"}
    return [node for node in parse(sent["query"]).definitions if isinstance(node, OperationDefinitionNode)]


def judged(upstream: Upstream, server: Server) -> None:
    """Asserts what holds for everything that reached Dagster, whatever its sender."""
    key = loopback_key(server.api.app.platform.settings.keys_dir)
    for method, path, headers, body in upstream.seen:
        assert KNOWN.fullmatch(path), path
        assert ".." not in path
        assert headers[HEADER] == key
        assert not {"authorization", "cookie", "x-http-method-override", "x-forwarded-for"} & headers.keys()
        if path.endswith("/graphql"):
            assert method == "POST"
            assert headers["content-type"] == JSON
            assert len(documents(body)) == 1
        elif method == "POST":
            assert "/report_asset_" in path
        else:
            assert method in ("GET", "HEAD")


SEGMENTS = st.sampled_from(
    (
        *("graphql", "GraphQL", "graphql ", "%67raphql", "graphql%00", "graphql;x", "graphql%2F.", "graphql%3Fa", "x"),
        *(".", "..", "%2e", "%2E%2E", "%252e%252e", "", "\\", "%5C..", "%2f", "server_info", "logs", "out", "assets"),
        *("report_asset_materialization", "REPORT_ASSET_CHECK", "_next", "static", "download_debug", "..;", "\uff0f"),
    )
)
PATHS = st.tuples(
    st.sampled_from(("/dagster", "/dagster", "/dagster", "//dagster", "/%64agster", "/x/../dagster", "/DAGSTER")),
    st.lists(SEGMENTS, max_size=4),
).map(lambda parts: "/".join((parts[0], *parts[1])).replace(" ", "%20"))
QUERIES = st.sampled_from(("", "?query=mutation%7BdeleteRun%28runId%3A1%29%7Bx%7D%7D", "?op=Q", "?query=%7Bversion%7D"))
TYPES = st.sampled_from(
    (
        *(JSON, JSON, JSON, "application/json; charset=utf-8", "application/json; charset=utf-16", "text/plain", ""),
        *("application/graphql", "application/graphql, application/json", "application/x-www-form-urlencoded"),
        *("multipart/form-data; boundary=b", "text/html; application/json"),
    )
)


def body_of(document: str, other: str, shape: str) -> bytes:
    """A document in one of the forms in which GraphQL is sent."""
    quoted, second = json.dumps(document), json.dumps(other)
    shapes = {
        "one": f'{{"query": {quoted}}}',
        "named": f'{{"query": {quoted}, "operationName": "Q", "variables": {{"a": [1, null]}}}}',
        "twice": f'{{"query": {second}, "query": {quoted}}}',
        "batch": f'[{{"query": {second}}}, {{"query": {quoted}}}]',
        "stored": f'{{"extensions": {{"persistedQuery": {{"version": 1}}}}, "query_": {quoted}}}',
        "text": f'{{"query": {quoted}, "variables": "{{}}"}}',
        "escaped": '{"query": "'
        + "".join(f"\\u{ord(letter):04x}" for letter in document if ord(letter) < 65536)
        + '"}',
        "raw": document,
        "form": f"query={document}",
        "part": f'--b\r\ncontent-disposition: form-data; name="query"\r\n\r\n{document}\r\n--b--\r\n',
    }
    return shapes[shape].encode()


BODIES = st.builds(
    body_of,
    st.sampled_from(DOCUMENTS),
    st.sampled_from(DOCUMENTS),
    st.sampled_from(("one", "one", "named", "twice", "batch", "stored", "text", "escaped", "raw", "form", "part")),
)
METHODS = st.sampled_from(("POST", "POST", "POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"))
MANY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(METHODS, st.one_of(PATHS, st.just("/dagster/graphql")), QUERIES, TYPES, BODIES)
def test_no_mutation_of_a_viewer_reaches_dagster(
    server: Server, upstream: Upstream, method: str, path: str, query: str, content_type: str, body: bytes
) -> None:
    upstream.seen.clear()
    extra = {"x_http_method_override": "POST", "x_forwarded_for": "127.0.0.1", "x_original_url": "/dagster/graphql"}
    status = send(server, server.tokens["viewer"] or "", method, f"{path}{query}", body, content_type, **extra)
    judged(upstream, server)
    assert status == 200 or not upstream.seen
    for verb, asked, _, content in upstream.seen:
        assert verb != "POST" or asked == "/dagster/graphql"
        if verb == "POST":
            assert all(operation.operation is OperationType.QUERY for operation in documents(content))


@MANY
@given(st.one_of(PATHS, st.just("/dagster/graphql")), TYPES, BODIES)
def test_a_mutation_that_reaches_dagster_was_recorded(
    server: Server, upstream: Upstream, path: str, content_type: str, body: bytes
) -> None:
    upstream.seen.clear()
    before = len(server.api.events("dagster.ui."))
    send(server, server.api.editor.token or "", "POST", path, body, content_type)
    judged(upstream, server)
    written = server.api.events("dagster.ui.")[before:]
    changes = [asked for verb, asked, _, content in upstream.seen if verb == "POST" and _changes(asked, content)]
    requested = [event for event in written if event["type"] == "dagster.ui.requested"]
    assert len(requested) == len(changes)
    assert len([event for event in written if event["type"] == "dagster.ui.mutated"]) >= len(changes)


def _changes(path: str, content: bytes) -> bool:
    return not path.endswith("/graphql") or documents(content)[0].operation is OperationType.MUTATION


@pytest.mark.parametrize(
    "target",
    [
        "/dagster/graphql/.?query=mutation%7BdeleteRun(runId:1)%7Bx%7D%7D",
        "/dagster/graphql/x/..?query=mutation%7BdeleteRun(runId:1)%7Bx%7D%7D",
        "/dagster/graphql?query=mutation%7BdeleteRun(runId:1)%7Bx%7D%7D",
        "/dagster/%67raphql?query=%7Bversion%7D",
        "/dagster/graphql;a?query=%7Bversion%7D",
        "/dagster/graphql%2f.?query=%7Bversion%7D",
        "/dagster//graphql",
        "/dagster/graphql/",
        "/dagster/GRAPHQL",
        "/dagster/logs/..%5C..%5Ckeys/out",
    ],
)
def test_a_path_that_is_not_in_normal_form_or_not_offered_is_refused(
    server: Server, upstream: Upstream, target: str
) -> None:
    upstream.seen.clear()
    for method in ("GET", "POST"):
        assert 400 <= send(server, server.tokens["admin"] or "", method, target, b"{}", JSON) < 500
    assert upstream.seen == []


def test_what_the_ui_needs_reaches_dagster(server: Server, upstream: Upstream) -> None:
    """So that nothing above holds because nothing passes."""
    viewer = server.tokens["viewer"] or ""
    upstream.seen.clear()
    targets = {
        "/dagster": "/dagster/",
        "/dagster/": "/dagster/",
        "/dagster/assets/flights/gold/carrier_punctuality?view=lineage": "/dagster/",
        "/dagster/locations/__repository__%40flights/jobs/a%20job": "/dagster/",
    }
    files = ("_next/static/media/tool-w&b-color.dd51f747.svg", "logs/6f1c/compute_logs/abcdef/out", "favicon.svg")
    targets |= {f"/dagster/{file}": f"/dagster/{file}" for file in (*files, "download_debug/6f1c-11")}
    for target, asked in targets.items():
        assert send(server, viewer, "GET", target) == 200
        assert upstream.seen[-1][:2] == ("GET", asked)
    body = {"operationName": "Q", "variables": {"a": 1}, "query": "query Q { version # here\n }", "extensions": {}}
    assert send(server, viewer, "POST", "/dagster/graphql?op=Q", json.dumps(body).encode(), JSON) == 200
    method, path, _, content = upstream.seen[-1]
    assert (method, path) == ("POST", "/dagster/graphql")
    expected = {"query": "query Q {\n  version\n}", "variables": {"a": 1}, "operationName": "Q"}
    assert json.loads(content) == expected


def test_the_record_says_what_came_of_it(server: Server, upstream: Upstream) -> None:
    editor, viewer = server.api.editor.token or "", server.tokens["viewer"] or ""
    body = json.dumps({"query": CHANGE}).encode()
    answers: list[tuple[dict[str, Any], str]] = [
        ({"data": {"terminateRun": {"__typename": "TerminateRunSuccess"}}}, "succeeded"),
        ({"data": {"terminateRun": {"__typename": "PythonError"}}}, "failed"),
        ({"data": None, "errors": [{"message": "no"}]}, "failed"),
    ]
    before = upstream.answer
    for answer, outcome in answers:
        upstream.answer = answer
        assert send(server, editor, "POST", "/dagster/graphql", body, JSON) == 200
        requested, mutated = server.api.events("dagster.ui.")[-2:]
        assert requested["type"] == "dagster.ui.requested"
        assert (mutated["type"], mutated["data"]["outcome"]) == ("dagster.ui.mutated", outcome)
        assert mutated["data"]["mutations"] == ["terminateRun"]
    upstream.answer = before
    assert send(server, viewer, "POST", "/dagster/graphql", body, JSON) == 403
    assert server.api.events("dagster.ui.")[-1]["data"]["outcome"] == "denied"
    unknown = json.dumps({"query": "mutation { setAppManagedComponent(x: 1) { __typename } }"}).encode()
    upstream.seen.clear()
    assert send(server, server.tokens["admin"] or "", "POST", "/dagster/graphql", unknown, JSON) == 403
    assert server.api.events("dagster.ui.")[-1]["data"]["outcome"] == "denied"
    assert upstream.seen == []
