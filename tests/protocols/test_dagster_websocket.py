"""A WebSocket to the Dagster UI that stays open while the rights of its owner change."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import httpx
import pytest
import websockets
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.api_server import Server

QUERY = json.dumps({"type": "subscribe", "id": "1", "payload": {"query": "subscription { capturedLogs { stdout } }"}})
MUTATION = json.dumps({"type": "subscribe", "id": "2", "payload": {"query": "mutation { deleteRun(runId: 1) { x } }"}})


def _echo(connection: ServerConnection) -> None:
    for frame in connection:
        connection.send(frame)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The platform before a webserver that answers what it is sent."""
    with serve(_echo, "127.0.0.1", 0) as dagster:
        thread = threading.Thread(target=dagster.serve_forever)
        thread.start()
        port = dagster.socket.getsockname()[1]
        with Server(tmp_path_factory.mktemp("home"), HEADWATER_DAGSTER_URL=f"http://127.0.0.1:{port}") as started:
            yield started
        dagster.shutdown()
        thread.join()


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.tokens['admin']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/admin/", headers=headers) as client:
        yield client


def opened(server: Server, token: str) -> ClientConnection:
    headers = {"authorization": f"Bearer {token}"}
    return connect(f"ws://127.0.0.1:{server.port}/dagster/graphql", additional_headers=headers, proxy=None)


def closed_with(connection: ClientConnection) -> int:
    """The code that the connection is closed with within the five seconds that a revocation may take."""
    with pytest.raises(websockets.ConnectionClosed):
        connection.recv(timeout=5)
    assert connection.close_code is not None
    return connection.close_code


def test_who_is_suspended_is_cut_off(server: Server, admin: httpx.Client) -> None:
    with opened(server, server.tokens["viewer"]) as connection:
        connection.send(QUERY)
        assert connection.recv(timeout=5) == QUERY
        admin.post("users/viewer:suspend", json={}).raise_for_status()
        assert closed_with(connection) == 4401


def test_who_loses_the_right_to_look_is_cut_off(server: Server, admin: httpx.Client) -> None:
    with opened(server, server.tokens["viewer"]) as connection:
        viewer = admin.get("users/viewer").json()["id"]
        for grant in admin.get("grants", params={"filter": f"principal_id == '{viewer}'"}).json()["items"]:
            admin.delete(f"grants/{grant['id']}").raise_for_status()
        assert closed_with(connection) == 4403


def test_who_may_no_longer_change_things_is_refused_on_the_open_connection(server: Server, admin: httpx.Client) -> None:
    editor = admin.get("users/editor").json()["id"]
    with opened(server, server.api.editor.token or "") as connection:
        connection.send(MUTATION)
        assert connection.recv(timeout=5) == MUTATION
        [grant] = admin.get("grants", params={"filter": f"principal_id == '{editor}'"}).json()["items"]
        reader = {"principal_id": editor, "role_id": "rol_viewer", "securable_id": grant["securable_id"]}
        admin.post("grants", json=reader).raise_for_status()
        admin.delete(f"grants/{grant['id']}").raise_for_status()
        threading.Event().wait(2.5)  # longer than rights may go unasked
        connection.send(QUERY)
        assert connection.recv(timeout=5) == QUERY, "looking is still allowed"
        connection.send(MUTATION)
        assert closed_with(connection) == 4403
