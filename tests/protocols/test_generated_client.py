"""Clients that a generator makes from our documents: whole, typed, and of use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.main import SERVICES
from tests.api_server import Server

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent

PROGRAM = """
import sys

from admin_client import AuthenticatedClient
from admin_client.api.group import admin_create_group, admin_delete_group, admin_get_group, admin_list_groups
from admin_client.api.group import admin_update_group
from admin_client.models import Group, GroupChange, GroupPage, GroupSpecInput, GroupSpecPatch, NewGroup, Problem

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token)
made = admin_create_group.sync(client=client, body=NewGroup(name="readers", spec=GroupSpecInput(title="Readers")))
assert isinstance(made, Group)
assert made.spec.title == "Readers"
twice = admin_create_group.sync(client=client, body=NewGroup(name="readers", spec=GroupSpecInput(title="Readers")))
assert isinstance(twice, Problem)
print(twice.status, twice.reason)
change = GroupChange(spec=GroupSpecPatch(title="Writers"))
changed = admin_update_group.sync(made.id, client=client, body=change, if_match=made.etag)
assert isinstance(changed, Group)
page = admin_list_groups.sync(client=client, filter_='name == "readers"')
assert isinstance(page, GroupPage)
print([group.spec.title for group in page.items], page.items[0].created_at.tzinfo is not None)
admin_delete_group.sync_detailed(made.id, client=client)
gone = admin_get_group.sync(made.id, client=client)
assert isinstance(gone, Problem)
print(gone.status, gone.reason)
"""


def run(*command: str, folder: Path) -> str:
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"  # the generator looks for ruff there
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def generated(service: str, folder: Path) -> str:
    """What the generator says of the client it makes."""
    document = ROOT / "docs" / "openapi" / f"{service}.json"
    name = f"{service.replace('-', '_')}_client"
    arguments = ("--path", str(document), "--meta", "none", "--output-path", name)
    return run(str(TOOLS / "openapi-python-client"), "generate", *arguments, folder=folder)


@pytest.mark.slow
@pytest.mark.parametrize("service", [service.slug for service in SERVICES])
def test_a_client_has_every_operation(service: str, tmp_path: Path) -> None:
    message = generated(service, tmp_path)
    assert message.strip().splitlines() == [f"Generating {service.replace('-', '_')}_client"]
    made = {path.stem for path in tmp_path.glob("*_client/api/*/*.py")} - {"__init__"}
    [found] = [one for one in SERVICES if one.slug == service]
    assert made == {endpoint.operation_id for endpoint in found.endpoints}


@pytest.mark.slow
def test_a_typed_client_of_the_admin_service_is_of_use(tmp_path: Path) -> None:
    generated("admin", tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    checked = run(
        *(str(TOOLS / "mypy"), "--strict", "--follow-imports=silent", "program.py"),
        folder=tmp_path,
    )
    assert checked.startswith("Success"), checked
    (tmp_path / "home").mkdir()
    with Server(tmp_path / "home") as server:
        message = run(sys.executable, "program.py", server.url, server.tokens["admin"], folder=tmp_path)
    assert message.splitlines() == ["409 CONFLICT", "['Writers'] True", "404 NOT_FOUND"]
