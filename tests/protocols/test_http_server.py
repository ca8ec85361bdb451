"""HTTP as bytes on a socket: what no client library would send, and streams that really stream."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from api.kernel.http import protocol
from core.runs import RunStatus
from tests.api_server import Server
from tests.dagster_processes import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "HEAD_SECONDS", 1.0)
        with Server(tmp_path_factory.mktemp("home")) as started:
            yield started


def exchange(server: Server, *pieces: bytes, pause: float = 0, patience: float = 60) -> bytes:
    """Sends raw bytes and reads until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=patience) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def problem(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    found: dict[str, object] = json.loads(body)
    return found


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_what_is_no_http_is_answered_with_a_problem(server: Server, garbage: bytes) -> None:
    assert problem(exchange(server, garbage))["status"] == 400


def test_a_head_that_is_too_large_is_refused(server: Server) -> None:
    request = b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(100))
    assert problem(exchange(server, request))["status"] == 400


def test_a_head_that_does_not_come_ends_the_connection(server: Server) -> None:
    assert exchange(server, b"GET / HTTP/1.1\r\nhost: x\r\n") == b""
    assert exchange(server) == b""


def test_a_body_may_be_larger_than_the_head_may(server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['admin']}"}
    body = {"component": "SqlTransformComponent", "attributes": {"asset": "flights.gold.big", "sql": "x" * 500_000}}
    reply = httpx.post(f"{server.url}/api/v1/ai-catalog/definitions", json=body, headers=headers)
    assert reply.status_code == 201


def test_several_requests_in_one_packet_are_all_answered(server: Server) -> None:
    one = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    last = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert exchange(server, one + one + last).count(b"HTTP/1.1 200") == 3


def test_head_is_get_without_a_body(server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    path = f"{server.url}/api/v1/ai-catalog/assets/flights.bronze.flights"
    got, head = httpx.get(path, headers=headers), httpx.head(path, headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == got.headers["etag"]


def test_websockets_need_a_login_and_a_place(server: Server) -> None:
    for path in ("/dagster/graphql", "/api/v1/ai-catalog/assets", "/nothing"):
        with pytest.raises(websockets.InvalidStatus):
            connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None).close()


def test_log_lines_arrive_while_the_run_goes_on(server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['admin']}"}
    orchestrator = server.orchestrator
    path = f"{server.url}/api/v1/ai-catalog/assets/flights.gold.route_delays:materialize"
    operation = httpx.post(path, headers=headers, json={}).json()
    (run,) = operation["runs"]
    with httpx.stream("GET", f"{server.url}/api/v1/operations/{operation['id']}/logs", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        orchestrator.log(run, "the first line")
        seen = next(line for line in lines if "the first line" in line)
        assert seen.startswith("data: ")
        orchestrator.end(run, RunStatus.SUCCEEDED)
        assert any(line == "event: end" for line in lines)


def test_a_listener_that_leaves_is_let_go(server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['admin']}"}
    path = f"{server.url}/api/v1/ai-catalog/assets/flights.gold.route_delays:materialize"
    operation = httpx.post(path, headers=headers, json={}).json()
    for _ in range(20):
        with httpx.stream("GET", f"{server.url}/api/v1/operations/{operation['id']}/logs", headers=headers) as stream:
            next(stream.iter_lines())
    until(lambda: len(server.server.server_state.tasks) <= 1, 60, "the end of the streams")
