"""Dagster's webserver with a guard that admits only processes of the platform.

The webserver has no login and listens on loopback. Without the guard, any page in a browser on the machine could reach
it, also by a host name that resolves to loopback. Start it with
`python -m dagster_project.webserver --workspace ... --port ...` and the options of `dagster-webserver`.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

from dagster_webserver import app, cli

from core.loopback import HEADER, loopback_key
from core.settings import load_settings

_PROBE_PATH = "/dagster/server_info"
"""End of the path of the readiness probe of the supervisor, which returns only versions."""

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_REFUSAL = b"Open Dagster through Headwater, under /dagster of its public address."


class Guard:
    """An ASGI app that admits requests of the platform to the app of the webserver."""

    def __init__(self, app: Any, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request or WebSocket of the platform, and refuses others."""
        if scope["type"] == "lifespan" or self._admits(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403})
        else:
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(_REFUSAL)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})

    def _admits(self, scope: Any) -> bool:
        hosts = _values(scope["headers"], b"host")
        # Clients of the platform are not web pages, so they send no origin.
        if len(hosts) != 1 or _name(hosts[0]) not in _HOSTS or _values(scope["headers"], b"origin"):
            return False
        if scope["type"] == "http" and scope["path"].endswith(_PROBE_PATH) and scope["method"] == "GET":
            return True
        keys = _values(scope["headers"], HEADER.encode())
        return len(keys) == 1 and hmac.compare_digest(keys[0], self._key)


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def _name(host: bytes) -> str:
    """Returns the name in a `Host` header, without the port."""
    text = host.decode("latin-1")
    name, colon, port = text.rpartition(":")
    return name if colon and port.isdigit() else text


def main() -> None:
    """Serves until the process is terminated."""
    key = loopback_key(load_settings().keys_dir)
    create_app = app.create_app_from_workspace_process_context

    def create_guarded_app(*args: Any, **options: Any) -> Any:
        return Guard(create_app(*args, **options), key)

    # The command has no option to wrap its app.
    vars(cli)["create_app_from_workspace_process_context"] = create_guarded_app
    cli.dagster_webserver(auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
