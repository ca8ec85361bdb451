"""WebSockets to the Dagster UI: what may be sent through one, and how long one may stay open.

The kind of fault: one side of a proxy reads a frame as harmless that the other side executes. Whatever is sent
through the socket, only subscriptions and control messages reach Dagster, each built from what was checked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import websockets
from graphql import OperationDefinitionNode, OperationType, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.api_process import PASSWORD
from tests.api_server import Server

QUERY = json.dumps({"type": "subscribe", "id": "1", "payload": {"query": "subscription { capturedLogs { stdout } }"}})
MUTATION = json.dumps({"type": "subscribe", "id": "2", "payload": {"query": "mutation { deleteRun(runId: 1) { x } }"}})


SEEN: list[str | bytes] = []


def _echo(connection: ServerConnection) -> None:
    for frame in connection:
        SEEN.append(frame)
        connection.send(frame)


@pytest.fixture(scope="module")
def dagster() -> Iterator[str]:
    """A webserver that keeps and answers what it is sent; its address."""
    with serve(_echo, "127.0.0.1", 0, select_subprotocol=lambda _, offered: offered[0] if offered else None) as started:
        thread = threading.Thread(target=started.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{started.socket.getsockname()[1]}"
        started.shutdown()
        thread.join()


@pytest.fixture
def server(dagster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The platform before it."""
    with Server(tmp_path_factory.mktemp("home"), HEADWATER_DAGSTER_URL=dagster) as started:
        yield started


@pytest.fixture(scope="module")
def lasting(dagster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same, for tests that change no rights."""
    with Server(tmp_path_factory.mktemp("home"), HEADWATER_DAGSTER_URL=dagster) as started:
        yield started


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.tokens['admin']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/admin/", headers=headers) as client:
        yield client


def opened(server: Server, token: str | None, path: str = "/dagster/graphql") -> ClientConnection:
    headers = {"authorization": f"Bearer {token}"}
    return connect(f"ws://127.0.0.1:{server.port}{path}", additional_headers=headers, proxy=None, open_timeout=60)


def follows(connection: ClientConnection) -> bool:
    """Whether a subscription comes through."""
    connection.send(QUERY)
    return operations(connection.recv(timeout=60)) == [OperationType.SUBSCRIPTION]


def operations(frame: str | bytes) -> list[OperationType]:
    """The operations in a message that reached Dagster, read as Dagster reads it; none in a control message."""
    message = json.loads(frame)
    assert message.keys() <= {"type", "id", "payload"}
    if message["type"] not in ("start", "subscribe"):
        assert "payload" not in message
        return []
    definitions = parse(message["payload"]["query"]).definitions
    return [node.operation for node in definitions if isinstance(node, OperationDefinitionNode)]


def closed_with(connection: ClientConnection) -> int:
    """The code that the connection is closed with."""
    with pytest.raises(websockets.ConnectionClosed):
        connection.recv(timeout=60)
    assert connection.close_code is not None
    return connection.close_code


def test_who_is_suspended_is_cut_off(server: Server, admin: httpx.Client) -> None:
    with opened(server, server.tokens["viewer"]) as connection:
        assert follows(connection)
        admin.post("users/viewer:suspend", json={}).raise_for_status()
        assert closed_with(connection) == 4401


def test_who_loses_the_right_to_look_is_cut_off(server: Server, admin: httpx.Client) -> None:
    with opened(server, server.tokens["viewer"]) as connection:
        viewer = admin.get("users/viewer").json()["id"]
        for grant in admin.get("grants", params={"filter": f"principal_id == '{viewer}'"}).json()["items"]:
            admin.delete(f"grants/{grant['id']}").raise_for_status()
        assert closed_with(connection) == 4403


def test_whom_a_policy_restricts_is_cut_off(server: Server, admin: httpx.Client) -> None:
    """Dagster shows failing rows of checks, and errors with values."""
    exempt = [admin.get("users/admin").json()["id"]]
    spec = {"title": "Mails", "assets": ["*.*.*"], "row_filter": "false", "exempt": exempt}
    policies = f"{server.url}/api/v1/ai-catalog/policies"
    with opened(server, server.tokens["viewer"]) as connection:
        assert follows(connection)
        made = admin.post(policies, json={"name": "mails", "spec": spec}).raise_for_status().json()
        admin.post(f"{policies}/{made['id']}:activate", json={}).raise_for_status()
        assert closed_with(connection) == 4403
    assert refused_at_once(server, server.tokens["viewer"])
    assert not refused_at_once(server, server.tokens["admin"])
    admin.post(f"{policies}/{made['id']}:disable", json={}).raise_for_status()
    assert not refused_at_once(server, server.tokens["viewer"])


def test_the_right_to_enter_shows_no_rows(server: Server, admin: httpx.Client) -> None:
    viewer = admin.get("users/viewer").json()["id"]
    denial = {"principal_id": viewer, "permission": "ai_catalog.asset.preview", "securable_id": "default"}
    assert not refused_at_once(server, server.tokens["viewer"])
    admin.post("grants", json=denial | {"effect": "DENY"}).raise_for_status()
    assert refused_at_once(server, server.tokens["viewer"])


def refused_at_once(server: Server, token: str) -> bool:
    """Whether the platform refuses to show Dagster, by HTTP and by a WebSocket. The fake of Dagster has no pages."""
    headers = {"authorization": f"Bearer {token}"}
    page = httpx.get(f"{server.url}/dagster/server_info", headers=headers)
    try:
        with opened(server, token) as connection:
            by_socket = not follows(connection)
    except websockets.WebSocketException:
        by_socket = True
    assert (page.status_code == 403) is by_socket, page.text
    return by_socket


def documents() -> st.SearchStrategy[str]:
    return st.sampled_from(
        (
            *("subscription { a { b } }", "subscription S { a { b } }", "{ version }", "mutation { deleteRun { x } }"),
            *(
                "subscription S { a } mutation M { deleteRun }",
                "mutation M { ...F } fragment F on Mutation { a }",
                "x{",
            ),
            "subscription { a }\n# \r mutation { deleteRun }",
        )
    )


def payloads() -> st.SearchStrategy[Any]:
    request = st.fixed_dictionaries(
        {"query": documents()},
        optional={
            "operationName": st.sampled_from(("S", "M", None, 3)),
            "operation_name": st.just("M"),
            "variables": st.sampled_from(({}, None, "{}", {"a": [1]})),
        },
    )
    return st.one_of(request, st.lists(request, max_size=2), st.none(), st.just("mutation { deleteRun }"))


def frames() -> st.SearchStrategy[str | bytes]:
    kinds = (
        "start",
        "subscribe",
        "START",
        "connection_init",
        "connection_terminate",
        "stop",
        "complete",
        "ping",
        "data",
    )
    message = st.fixed_dictionaries(
        {"type": st.sampled_from(kinds)},
        optional={"id": st.sampled_from(("1", "2", "", 1, None, ["1"])), "payload": payloads()},
    )
    text = st.one_of(message, message, st.lists(message, max_size=2)).map(json.dumps)
    doubled = st.tuples(text, text).map(lambda two: f'{two[0][:-1]}, "type": "start", {two[1][1:]}')
    return st.one_of(text, text, text, doubled, text.map(str.encode), st.sampled_from(("", "null", "{} {}")))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(frames(), min_size=1, max_size=3), st.booleans(), st.sampled_from(("viewer", "admin")))
def test_nothing_but_subscriptions_reaches_dagster(
    lasting: Server, sent: list[str | bytes], in_pieces: bool, who: str
) -> None:
    SEEN.clear()
    with opened(lasting, lasting.tokens[who]) as connection:
        for frame in sent:
            try:
                # In pieces: what is judged is the message and not its first fragment.
                connection.send(iter((frame[:7], frame[7:])) if in_pieces else frame)
            except websockets.ConnectionClosed:
                break
        # Answered, or closed: then all that was let through before has arrived.
        with suppress(websockets.ConnectionClosed):
            connection.send(QUERY)
            while "capturedLogs" not in str(connection.recv(timeout=60)):
                pass
    for frame in SEEN:
        assert isinstance(frame, str)
        assert set(operations(frame)) <= {OperationType.SUBSCRIPTION}


def test_a_mutation_closes_the_connection_and_is_recorded(lasting: Server) -> None:
    for token in (lasting.tokens["viewer"], lasting.tokens["admin"]):
        before = len(lasting.api.events("dagster.ui."))
        SEEN.clear()
        with opened(lasting, token) as connection:
            assert follows(connection)
            connection.send(MUTATION)
            assert closed_with(connection) == 4403
        [event] = lasting.api.events("dagster.ui.")[before:]
        assert (event["data"]["mutations"], event["data"]["outcome"]) == (["deleteRun"], "denied")
        assert not [frame for frame in SEEN if "deleteRun" in str(frame)]


@pytest.mark.parametrize("path", ["/dagster/", "/dagster/graphql/", "/dagster/x/../graphql", "/dagster/graphql/x"])
def test_there_is_one_place_for_sockets(lasting: Server, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus):
        opened(lasting, lasting.tokens["viewer"], path).close()


@pytest.mark.parametrize("path", ["/static/mark.svg", "/scim/v2/Users", "/api/docs", "/", "/metrics", "/login"])
def test_other_mounts_serve_no_sockets(lasting: Server, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        opened(lasting, lasting.tokens["admin"], path).close()
    assert refused.value.response.status_code == 403


def test_another_site_opens_no_socket_by_the_cookie(lasting: Server) -> None:
    body = {"name": "viewer", "password": PASSWORD}
    made = httpx.post(f"{lasting.url}/api/v1/admin/sessions:login", json=body).raise_for_status()
    cookie = made.headers["set-cookie"].partition(";")[0]
    url = f"ws://127.0.0.1:{lasting.port}/dagster/graphql"
    local = f"http://127.0.0.1:{lasting.port}"
    for origin in (*map(websockets.Origin, ("https://evil.test", "null", f"{local}.evil.test")), None):
        with pytest.raises(websockets.InvalidStatus):
            connect(url, additional_headers={"cookie": cookie}, origin=origin, proxy=None)
    with connect(url, additional_headers={"cookie": cookie}, origin=websockets.Origin(local), proxy=None) as connection:
        assert follows(connection)
