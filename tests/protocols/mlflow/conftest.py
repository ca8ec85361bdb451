"""A server with a project, and programs that use the unmodified MLflow client."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api_server import Server

FOLDER = Path(__file__).parent
PYTHON = FOLDER.parents[2] / ".venv-clients" / "bin" / "python"
"""The environment of `make setup-clients`."""


def cases(name: str) -> list[str]:
    """Returns the names of the cases of a program."""
    functions = [node for node in ast.parse((FOLDER / name).read_text()).body if isinstance(node, ast.FunctionDef)]
    return [
        function.name
        for function in functions
        if any(isinstance(one, ast.Name) and one.id == "case" for one in function.decorator_list)
    ]


Program = Callable[[str], dict[str, str]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Starts the server, with the project `flights`."""
    with Server(tmp_path_factory.mktemp("home"), HEADWATER_RATE_LIMIT="") as started:
        admin = {"authorization": f"Bearer {started.tokens['admin']}"}
        body = {"name": "flights", "spec": {"title": "Flights"}}
        httpx.post(f"{started.url}/api/v1/admin/projects", headers=admin, json=body).raise_for_status()
        yield started


@pytest.fixture(scope="session")
def program(server: Server) -> Program:
    """Returns a function that runs a program of this folder, and returns the traceback of each of its cases."""
    return programs(server)


def programs(server: Server, **variables: str) -> Program:
    """Returns a function that runs a program with a server and these variables of the environment."""
    assert PYTHON.exists(), "run `make setup-clients`"
    environment = dict(os.environ) | {
        "MLFLOW_TRACKING_URI": f"{server.url}/mlflow",
        "MLFLOW_TRACKING_TOKEN": server.tokens["admin"],
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **variables,
    }

    def run(name: str) -> dict[str, str]:
        done = subprocess.run([PYTHON, FOLDER / name], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        results: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
        return results

    return run
