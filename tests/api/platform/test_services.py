"""Any subset of the services answers in a separate process, over the same metadata database."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from api.cli.platform import migrate
from api.main import create_app
from api.services.admin.logic.bootstrap import bootstrap
from core.db import Database
from core.errors import InvalidArgument
from core.settings import load_settings
from tests.api.admin.tenants import grant, made, user
from tests.api_process import PASSWORD, Api, Caller
from tests.orchestration import FakeOrchestrator
from tests.ports import free_port

ROOT = Path(__file__).parents[3]


async def test_a_right_given_in_one_process_holds_in_the_other(api: Api, orchestrator: FakeOrchestrator) -> None:
    settings = dataclasses.replace(api.app.platform.settings, services="admin")
    part = create_app(settings, orchestrator=orchestrator)
    stack = await part.startup()
    local = Api(part)
    assert (await local.admin.get("ai-catalog/assets")).status == 404
    assert [one["name"] for one in (await local.admin.get("/api/openapi")).json["services"]] == ["admin", "operations"]
    id = await user(local, "ada")
    spec = {"title": "Reader", "permissions": ["ai_catalog.asset.*"]}
    role = await made(local.admin.post("admin/roles", {"name": "reader", "spec": spec}))
    await grant(local, id, role["id"], "org_default")
    assert (await local.caller("ada").get("admin/users")).status == 403
    ada = Caller(api.app, api.caller("ada").token)
    assert (await ada.get("ai-catalog/assets")).status == 200
    await stack.aclose()


def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    settings = load_settings({"HEADWATER_HOME": str(tmp_path), "HEADWATER_SERVICES": "admin,ragg"})
    with pytest.raises(InvalidArgument, match="ragg"):
        create_app(settings, orchestrator=FakeOrchestrator())


@pytest.mark.slow
def test_the_command_starts_such_a_process(tmp_path: Path) -> None:
    port = free_port()
    variables = {"HEADWATER_HOME": str(tmp_path), "HEADWATER_PORT": str(port)}
    settings = load_settings(variables)
    migrate(settings)
    database = Database(settings.effective_database_url)
    bootstrap(database, PASSWORD)
    database.close()
    command = [sys.executable, "-m", "api.cli", "up", "--services", "rag"]
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
    token = [sys.executable, "-m", "api.cli", "token"]
    secret = subprocess.run(token, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while (served := _services(port, secret)) is None:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert served == ["operations", "rag"]
    finally:
        process.terminate()
        process.wait(60)


def _services(port: int, token: str) -> list[str] | None:
    url = f"http://127.0.0.1:{port}/api/openapi"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [service["name"] for service in json.load(answer)["services"]]
    except (urllib.error.URLError, ConnectionError):
        return None
