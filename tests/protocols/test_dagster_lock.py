"""Dagster's loopback ports, which have no login, against the pages of a browser on the same machine.

The kind of fault: a service trusts every client of its loopback port. A page of any site reaches it, by its number or,
by DNS rebinding, under the page's own name.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from websockets.sync.client import connect

from api.gateways.dagster.client import DagsterClient
from core.loopback import HEADER, loopback_key
from tests.dagster_processes import DagsterProcesses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = """
import dagster as dg

@dg.asset
def one():
    pass

defs = dg.Definitions(assets=[one])
"""


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterProcesses]:
    code: Path = tmp_path_factory.mktemp("code")
    (code / "tiny_locked.py").write_text(PROJECT)
    modules = {"flights": "tiny_locked"}
    with DagsterProcesses(tmp_path_factory.mktemp("home"), modules, code=code, daemon=False) as processes:
        yield processes


def status(dagster: DagsterProcesses, method: str, path: str, body: str = "", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", dagster.settings.dagster_port, timeout=60)
    sent = {"host": f"127.0.0.1:{dagster.settings.dagster_port}", "content-type": "application/json"} | headers
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in sent.items()})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {HEADER: "guessed"},
        {HEADER: ""},
        {"host": "evil.test"},
        {"host": "evil.test", "origin": "http://evil.test"},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"host": "127.0.0.1.evil.test"},
    ],
)
def test_no_page_of_a_browser_is_answered(dagster: DagsterProcesses, headers: dict[str, str]) -> None:
    body = json.dumps({"query": "{ version }"})
    assert status(dagster, "POST", "/dagster/graphql", body, **headers) == 403
    assert status(dagster, "GET", "/dagster/graphql?query=%7Bversion%7D", **headers) == 403
    for path in ("/", "/dagster/", "/dagster/runs", "/dagster/logs/a/b/out", "/dagster/download_debug/a"):
        assert status(dagster, "GET", path, **headers) == 403
    url = f"ws://127.0.0.1:{dagster.settings.dagster_port}/dagster/graphql"
    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(url, subprotocols=[websockets.Subprotocol("graphql-ws")], additional_headers=headers, proxy=None)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "foreign", [{"host": "evil.test"}, {"origin": "http://evil.test"}, {"host": "localhost.evil:1"}]
)
def test_a_foreign_name_is_refused_even_with_the_key(dagster: DagsterProcesses, foreign: dict[str, str]) -> None:
    key = loopback_key(dagster.settings.keys_dir)
    assert status(dagster, "POST", "/dagster/graphql", "{}", **{HEADER: key}, **foreign) == 403
    assert status(dagster, "GET", "/dagster/server_info", **foreign) == 403


async def test_the_platform_itself_is_answered(dagster: DagsterProcesses) -> None:
    assert status(dagster, "GET", "/dagster/server_info") == 200, "the supervisor asks whether it answers"
    client = DagsterClient.from_settings(dagster.settings)
    try:
        assert (await client.read("{ version }"))["version"]
    finally:
        await client.close()
    assert oct((dagster.settings.keys_dir / "loopback.key").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("head", ["POST /api.DagsterApi/Ping HTTP/1.1", "GET / HTTP/1.0", "OPTIONS * HTTP/1.1"])
def test_a_code_server_does_not_speak_what_browsers_speak(dagster: DagsterProcesses, head: str) -> None:
    """gRPC is HTTP/2 without TLS, which no browser sends: every other greeting ends the connection."""
    with socket.create_connection(("127.0.0.1", dagster.settings.code_server_port), timeout=60) as connection:
        request = f"{head}\r\nhost: evil.test\r\norigin: http://evil.test\r\ncontent-type: application/grpc\r\n\r\n"
        connection.sendall(request.encode())
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
    assert b"HTTP/1" not in answer or b" 200" not in answer.split(b"\r\n")[0]
