"""The processes of a platform on one machine, with their readiness probes."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from core.settings import Settings
from core.supervisor import Program


def programs(settings: Settings) -> list[Program]:
    """Returns the processes of `headwater up` in the order of their start."""
    environment = dict(os.environ) | settings.environment() | {"PYTHONUNBUFFERED": "1", "FLWR_TELEMETRY_ENABLED": "0"}
    workspace = str(settings.dagster_home / "workspace.yaml")

    def program(name: str, *command: str, ready: Callable[[], bool], after: tuple[str, ...] = ()) -> Program:
        return Program(
            name=name, command=[sys.executable, "-m", *command], environment=environment, ready=ready, after=after
        )

    def code_server(location: str, module: str, port: int) -> Program:
        address = ("--host", "127.0.0.1", "--port", str(port), "--location-name", location)
        command = ("dagster", "code-server", "start", "--module-name", module, *address)
        return program(f"code-{location}", *command, ready=lambda: _listens(port))

    dagster_web = (
        "dagster_project.webserver",
        "--host",
        "127.0.0.1",
        "--port",
        str(settings.dagster_port),
        "--workspace",
    )
    code_servers = ("code-flights", "code-published")
    result = [
        program("api", "api.main", ready=lambda: _responds(settings.port, "/health/live", settings)),
        code_server("flights", "dagster_project.definitions", settings.code_server_port),
        code_server("published", "dagster_project.published", settings.published_code_server_port),
        program(
            "dagster-webserver",
            *(*dagster_web, workspace, "--path-prefix", f"{settings.path_prefix}/dagster"),
            ready=lambda: _responds(settings.dagster_port, f"{settings.path_prefix}/dagster/server_info"),
            after=code_servers,
        ),
        program(
            "dagster-daemon", "dagster._daemon", "run", "--workspace", workspace, ready=lambda: True, after=code_servers
        ),
    ]
    if settings.launcher == "warm":
        socket_path = settings.run_dir / "zygote.sock"
        result.append(program("zygote", "dagster_project.zygote", ready=socket_path.exists))
    return result


def serves(settings: Settings) -> bool:
    """Returns whether the API answers from its database and knows the asset graph."""
    return _responds(settings.port, "/health/ready", settings)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _responds(port: int, path: str, public: Settings | None = None) -> bool:
    host = "127.0.0.1"
    if public and public.host not in ("0.0.0.0", "::", "localhost"):  # noqa: S104 - compared, not bound
        host = public.host
    import http.client
    import ssl

    connection = http.client.HTTPConnection(host, port, timeout=0.5)
    if public and public.tls_certfile:
        # The certificate is for the public host, not for this address, and the probe only needs a response.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, port, timeout=0.5, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def project_root() -> Path:
    """Returns the folder that contains the packages of the project."""
    return Path(__file__).resolve().parents[2]
