"""The `headwater` command against a real server: whose rights it has, what it prints, and what it leaves behind."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pyarrow as pa
import pytest

from api.cli.app import main
from api.kernel.http import access_log
from api.kernel.platform import open_tables
from tests.api_server import Server
from tests.dagster_processes import until
from tests.lakehouse_tables import BRONZE, SILVER
from tests.orchestration import node

COMMAND = [sys.executable, "-m", "api.cli"]
SECRET = "secrets.gold.salaries"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("home")) as started:
        tables = started.api.app.platform.part(open_tables)
        tables.create_with(SECRET, pa.table({"salary": [1]}))
        yield started


class Terminal:
    """Runs the command with some settings, in this process: a new one imports for half a second each time."""

    def __init__(self, server: Server, **variables: str) -> None:
        home = server.api.app.platform.settings.home
        remaining = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
        self.environment = remaining | {"HEADWATER_HOME": str(home), "COLUMNS": "40"} | variables

    def __call__(self, *arguments: str, status: int = 0) -> str:
        output, errors = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        with (
            patch.dict(os.environ, self.environment, clear=True),
            patch.object(sys, "argv", ["headwater", *arguments]),
            redirect_stdout(output),
            redirect_stderr(errors),
        ):
            found = _exit_status()
        printed, reported = (stream.buffer.getvalue().decode() for stream in (output, errors))  # type: ignore[attr-defined]
        assert found == status, printed + reported
        return printed if status == 0 else reported


def _exit_status() -> int:
    """Runs the command of `sys.argv`. A process that ends closes its connections without a warning."""
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        finally:
            gc.collect()
    return 0


@pytest.fixture
def owner(server: Server) -> Terminal:
    """A user who may read the home needs no token."""
    return Terminal(server, HEADWATER_PORT=str(server.port))


@pytest.fixture
def stranger(server: Server) -> Terminal:
    """The admin of another tenant, with a token, on the machine of the platform."""
    if "others" not in server.tokens:
        server.add_tenant("others")
    return Terminal(server, HEADWATER_PORT=str(server.port), HEADWATER_TOKEN=str(server.tokens["others"]))


@pytest.fixture
def viewer(server: Server) -> Terminal:
    """A viewer of the whole platform, from another machine."""
    elsewhere = {"HEADWATER_HOME": "/nonexistent", "HEADWATER_URL": server.url}
    return Terminal(server, **elsewhere, HEADWATER_TOKEN=str(server.tokens["viewer"]))


@pytest.mark.slow
class TestRights:
    """Kind: a command that reads around the API. With a token, every reading command has the rights of that token."""

    def test_sql_has_the_rights_of_the_token(self, stranger: Terminal, viewer: Terminal, owner: Terminal) -> None:
        sql = f"SELECT count(*) AS n FROM {BRONZE}"
        assert json.loads(viewer("query", sql, "--format", "json")) == {"n": 25}
        assert json.loads(owner("query", sql, "--format", "json")) == {"n": 25}
        for table in (BRONZE, SECRET, "platform.audit.events"):
            assert f"There is no asset '{table}'" in stranger("query", f"SELECT * FROM {table}", status=1)
        assert stranger("query", "SHOW TABLES", "--format", "json") == ""

    def test_tables_are_those_of_the_token(self, stranger: Terminal, viewer: Terminal, owner: Terminal) -> None:
        assert json.loads(stranger("tables", "--json")) == []
        assert SECRET in {row["table"] for row in json.loads(owner("tables", "--json"))}
        assert SECRET not in {row["table"] for row in json.loads(viewer("tables", "--json"))}, "it is no asset"

    def test_other_readings_are_refused_as_well(self, stranger: Terminal) -> None:
        assert json.loads(stranger("assets", "list", "--json")) == []
        for command in (["history", BRONZE], ["lineage", SILVER], ["assets", "get", BRONZE]):
            assert "There is no asset" in stranger(*command, status=1)
        assert json.loads(stranger("schedules", "--json")) == []
        assert {user["name"] for user in json.loads(stranger("users", "--json"))} == {"others-admin"}


@pytest.mark.slow
class TestWhatIsLeftBehind:
    def test_all_commands_of_a_home_share_one_key(self, server: Server, owner: Terminal) -> None:
        issued = [event for event in server.api.events() if event["type"] == "admin.api_key.created"]
        for command in (["assets", "list"], ["users"], ["schedules"], ["runs"], ["history", BRONZE]):
            owner(*command)
        after = [event for event in server.api.events() if event["type"] == "admin.api_key.created"]
        assert len(after) <= len(issued) + 1
        remaining = server.api.app.platform.settings.keys_dir / "command-line.json"
        assert remaining.stat().st_mode & 0o077 == 0

    def test_a_key_that_was_revoked_is_replaced(self, server: Server, owner: Terminal) -> None:
        owner("users", "--json")
        remaining = server.api.app.platform.settings.keys_dir / "command-line.json"
        stored = json.loads(remaining.read_text())
        remaining.write_text(json.dumps(stored | {"token": "hw_" + "A" * 43}))
        assert json.loads(owner("users", "--json"))
        assert json.loads(remaining.read_text())["token"] != "hw_" + "A" * 43


@pytest.mark.slow
class TestOutput:
    def test_a_piped_row_is_one_line(self, owner: Terminal) -> None:
        printed = owner("query", f"SELECT repeat('x', 500) AS long, id FROM {BRONZE} LIMIT 3").splitlines()
        assert len(printed) == 4
        assert all("x" * 500 in line for line in printed[1:])
        assert len(owner("tables").splitlines()) == 1 + len(json.loads(owner("tables", "--json")))
        assert len(owner("assets", "list").splitlines()) == 1 + len(json.loads(owner("assets", "list", "--json")))

    def test_history_and_users_and_schedules(self, viewer: Terminal, owner: Terminal) -> None:
        assert [row["table_version"] for row in json.loads(viewer("history", BRONZE, "--json"))] == [1, 0]
        assert "version" in viewer("history", BRONZE).splitlines()[0]
        assert any("admin" in line for line in owner("users").splitlines())
        assert "cron" in owner("schedules").splitlines()[0]

    def test_csv_and_unknown_formats(self, owner: Terminal) -> None:
        assert owner("query", "SELECT 1 AS a, 'b,c' AS d", "--format", "csv").splitlines() == ['"a","d"', '1,"b,c"']
        assert "choose table, csv, or json" in owner("query", "SELECT 1", "--format", "xml", status=1)


def _interruptible() -> None:
    """Takes SIGINT as in a terminal: a process inherits that its parent, such as a background job, ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
class TestRuns:
    def test_runs_logs_and_cancel(self, owner: Terminal, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, access_log.LOGGER)
        process = subprocess.Popen(
            [*COMMAND, "materialize", BRONZE],
            env=owner.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_interruptible,
        )
        try:
            found = _until_one_runs(owner)
            until(lambda: "/operations/{operation}" in caplog.text, 60, "a look of the process at its operation")
            process.send_signal(signal.SIGINT)
            _, reported = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130
        assert f"{found} continues. Watch it with" in reported
        assert f"headwater cancel {found}" in reported
        assert found in owner("cancel", found)
        listed = {one["id"]: one for one in json.loads(owner("runs", "--json"))}
        assert listed[found]["state"] in ("CANCELING", "CANCELED")
        assert found in owner("runs")


def _until_one_runs(owner: Terminal) -> str:
    while True:
        for one in json.loads(owner("runs", "--json")):
            if one["state"] not in ("SUCCEEDED", "FAILED", "CANCELED"):
                return str(one["id"])


def test_help_loads_no_database_and_no_client() -> None:
    """Kind: a slow module that every command loads. Asking for help costs its own modules only."""
    program = (
        "import sys, api.cli.app\n"
        "slow = {'sqlalchemy', 'httpx', 'rich', 'yaml', 'psutil', 'pyarrow', 'duckdb', 'fastapi', 'pydantic'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    for name in ("runs", "logs", "cancel", "predict", "search", "history", "users", "schedules", "query", "tables"):
        assert f" {name} " in done.stdout


def test_the_help_of_every_command_loads_nothing_slow_and_shows_defaults_as_they_are() -> None:
    """Kind: a library that only the help of some commands loads, such as rich for the brackets of a default."""
    program = (
        "import sys, click, typer\n"
        "from typer.testing import CliRunner\n"
        "from api.cli.app import app\n"
        "def paths(command, path):\n"
        "    yield path\n"
        "    for name, below in getattr(command, 'commands', {}).items():\n"
        "        yield from paths(below, [*path, name])\n"
        "every = list(paths(typer.main.get_command(app), []))\n"
        "for path in every:\n"
        "    shown = CliRunner().invoke(app, [*path, '--help'], prog_name='headwater')\n"
        "    assert shown.exit_code == 0 and '\\\\[' not in shown.output, (path, shown.output)\n"
        "slow = {'sqlalchemy', 'httpx', 'rich', 'yaml', 'psutil', 'pyarrow', 'duckdb', 'fastapi', 'pydantic'}\n"
        "print(len(every), sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, loaded = done.stdout.split(maxsplit=1)
    assert int(count) > 20
    assert loaded.strip() == "[]"


@pytest.mark.slow
class TestAnswers:
    """Kind: a command whose refusal says less than that of the API, or tells of what the caller may not see."""

    @pytest.mark.parametrize(
        ("command", "known", "argument", "path", "body"),
        [
            ("predict", "flights.models.arrival_delay", "{}", "ai-system/models/{}:predict", {"instances": [{}]}),
            ("search", "flights.index.handbook", "why", "rag/indexes/{}:search", {"query": "why"}),
        ],
    )
    def test_a_wrong_or_hidden_name_is_told_as_by_the_api(
        self,
        server: Server,
        owner: Terminal,
        stranger: Terminal,
        command: str,
        known: str,
        argument: str,
        path: str,
        body: Any,
    ) -> None:
        wrong = f"{known}x"
        reported = owner(command, wrong, argument, status=1)
        headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
        reply = httpx.post(f"{server.url}/api/v1/{path.format(wrong)}", json=body, headers=headers)
        assert reply.status_code == 404
        assert reported.startswith(f"headwater: {reply.json()['detail']}")
        hidden, unknown = (stranger(command, name, argument, status=1) for name in (known, wrong))
        assert hidden.replace(known, "NAME") == unknown.replace(wrong, "NAME")
        assert known not in unknown.replace(wrong, "")

    def test_an_instance_that_is_no_object_is_told_before_anything_is_asked(self, owner: Terminal) -> None:
        assert "is not JSON" in owner("predict", "flights.models.arrival_delay", "key=1", status=1)
        assert "is not a JSON object" in owner("predict", "flights.models.arrival_delay", "[1]", status=1)


@pytest.mark.slow
def test_the_end_of_a_definition(server: Server, owner: Terminal, tmp_path: Path) -> None:
    asset, file = "flights.gold.ending", tmp_path / "ending.yaml"
    definition = {"component": "SqlTransformComponent", "attributes": {"asset": asset, "sql": "SELECT 1"}}
    file.write_text(json.dumps(definition))
    owner("assets", "define", str(file))
    server.orchestrator.nodes[asset] = node(asset, location="published")
    assert "Retire it" in owner("assets", "delete", asset, status=1)
    assert owner("assets", "retire", asset) == f"{asset} is retired.\n"
    assert asset not in owner("assets", "list", "--json")
    assert f"{asset} (retired)" in owner("assets", "list", "--retired")
    assert "Reinstate it" in owner("assets", "define", str(file), status=1)
    assert owner("assets", "reinstate", asset) == f"{asset} is published.\n"
    owner("assets", "retire", asset)
    owner("assets", "delete", asset)
    assert f"There is no definition '{asset}'" in owner("assets", "retire", asset, status=1)
