"""`headwater up`, `down`, `status`, `token` and `config`: the life of a platform on one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import sample
from api.cli.client import Client, issue_token
from api.cli.programs import programs, project_root
from core import supervisor
from core.errors import Conflict, InvalidArgument, Unavailable
from core.settings import Settings, declared, load_settings

if TYPE_CHECKING:
    from rich.table import Table

_READY_SECONDS = 120.0
_SAMPLE_SECONDS = 1200.0


def register(app: typer.Typer) -> None:
    """Adds the commands of this page."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(token)
    app.command()(config)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the platform is ready and the sample has run.")
    ] = False,
    services: Annotated[
        str, typer.Option("--services", help="Only answer these services, beside a platform that runs: admin,rag.")
    ] = "",
) -> None:
    """Start the platform; Ctrl-C stops everything."""
    settings = load_settings()
    if services:
        _up_services(settings, services)
        return
    if detach:
        _up_detached(settings)
        return
    _prepare(settings)
    watch = supervisor.Supervisor(settings.run_dir, settings.logs_dir, programs(settings))
    first_run = sample.FirstRun(settings)
    watch.state["url"] = _url(settings)
    watch.state["sample"] = first_run.describe()
    started = time.monotonic()

    def on_tick(running: supervisor.Supervisor) -> None:
        running.state["sample"] = first_run.describe()
        if running.ready and not first_run.started:
            first_run.started = True
            print(f"\nHeadwater is up after {time.monotonic() - started:.1f} s: {_url(settings)}\n", flush=True)
            threading.Thread(target=first_run.run, name="sample", daemon=True).start()

    watch.on_tick = on_tick
    print(f"Starting Headwater in {settings.home} ...", flush=True)
    try:
        watch.run()
    finally:
        _stop_spark(settings)
    print("Headwater has stopped.")


def down() -> None:
    """Stop the platform of this home."""
    settings = load_settings()
    if supervisor.stop_running(settings.run_dir):
        print("Headwater has stopped.")
    else:
        print(f"No platform runs in {settings.home}.")
    _stop_spark(settings)


def status(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Show what runs. Exit status 1 when the platform is not ready."""
    settings = load_settings()
    state: dict[str, Any] = supervisor.read_state(settings.run_dir) or {"state": "STOPPED", "processes": []}
    state = {"home": str(settings.home), **state}
    if as_json:
        print(json.dumps(state, indent=1))
    else:
        from rich.console import Console

        console = Console()
        console.print(f"[bold]{state['state']}[/bold]  {state.get('url', '')}  home {state['home']}")
        if state["processes"]:
            console.print(_process_table(state["processes"]))
        if found := state.get("sample"):
            console.print(f"sample project: {found['state']} {found['detail']}")
    if state["state"] != "READY":
        raise typer.Exit(1)


def token(
    label: Annotated[str, typer.Option(help="What the token is for.")] = "command line",
    hours: Annotated[float, typer.Option(help="Lifetime.")] = 24.0,
) -> None:
    """Print an admin bearer token for scripts."""
    print(issue_token(load_settings(), label, hours))


def config(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Print every setting with its effective value and where it came from."""
    settings = load_settings()
    rows = []
    for setting in declared():
        value = getattr(settings, setting.name)
        shown = "********" if setting.secret and value else str(value)
        rows.append(
            {
                "name": setting.name,
                "value": shown,
                "source": settings.sources.get(setting.name, "default"),
                "variable": setting.variable,
                "help": setting.help,
            }
        )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("setting", "value", "source", "what it is", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], row["value"], row["source"], row["help"])
    Console().print(table)


def _prepare(settings: Settings) -> None:
    """Everything that must be true before the first process starts; idempotent."""
    _refuse_open_door(settings)
    if supervisor.read_state(settings.run_dir):
        raise Conflict(f"Headwater already runs in {settings.home}. Stop it with `headwater down`.")
    from api.cli.doctor import busy_ports

    if busy := busy_ports(settings):
        numbers = ", ".join(str(port) for port in busy)
        raise Conflict(f"Port {numbers} is taken by another program. Free it or choose another HEADWATER_PORT.")
    for folder in (settings.home, settings.keys_dir, settings.run_dir, settings.logs_dir):
        folder.mkdir(parents=True, exist_ok=True)
    settings.keys_dir.chmod(0o700)
    migrate(settings)
    _create_admin(settings)
    # A process of its own: the HTTP side never imports the Dagster side.
    subprocess.run(
        [sys.executable, "-m", "dagster_project.instance"], check=True, env=dict(os.environ) | settings.environment()
    )


def migrate(settings: Settings) -> None:
    """Brings the metadata database to the newest revision."""
    from alembic import command
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(project_root() / "migrations"))
    configuration.attributes["url"] = settings.effective_database_url
    command.upgrade(configuration, "head")


def _refuse_open_door(settings: Settings) -> None:
    if settings.host not in ("127.0.0.1", "localhost", "::1") and not (settings.tls_certfile or settings.insecure_bind):
        raise InvalidArgument(
            f"HEADWATER_HOST={settings.host} opens the platform to the network without TLS. Set HEADWATER_TLS_CERTFILE "
            "and HEADWATER_TLS_KEYFILE, or HEADWATER_INSECURE_BIND=true behind a proxy that ends TLS."
        )


def _create_admin(settings: Settings) -> None:
    from api.services.admin.logic.bootstrap import bootstrap
    from core.db import Database

    database = Database(settings.effective_database_url)
    password = bootstrap(database, settings.admin_password, "flights" if settings.sample else "")
    database.close()
    if password and not settings.admin_password:
        print(f"\n  First start. Log in as  admin  with the password  {password}\n  It is shown only this once.\n")


def _up_services(settings: Settings, services: str) -> None:
    """Becomes an API process for some services, over the metadata database of these settings."""
    _refuse_open_door(settings)
    migrate(settings)
    environment = dict(os.environ) | settings.environment() | {"HEADWATER_SERVICES": services}
    print(f"Answering {services} at {_url(settings)}", flush=True)
    os.execve(sys.executable, [sys.executable, "-m", "api.main"], environment)  # noqa: S606 - no shell


def _up_detached(settings: Settings) -> None:
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    log = settings.logs_dir / "up.log"
    log.unlink(missing_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "up"],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    shown = 0
    deadline = time.monotonic() + _READY_SECONDS + _SAMPLE_SECONDS
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        print(text[shown:], end="", flush=True)
        shown = len(text)
        if process.poll() is not None:
            raise Unavailable(f"The platform did not start; the reason is above and in {log}.")
        state = supervisor.read_state(settings.run_dir)
        outcome = state["sample"]["state"] if state else "WAITING"
        if outcome == "FAILED":
            raise Unavailable(f"The platform runs, but the sample's first run failed: {state['sample']['detail']}")  # type: ignore[index]
        if state and state["state"] == "READY" and outcome in ("SUCCEEDED", "SKIPPED"):
            # A generated password belongs on the terminal, not in a file that stays.
            log.write_text("")
            return
        time.sleep(0.3)
    raise Unavailable(f"The platform was not ready in time. See `headwater status` and {settings.logs_dir}.")


def _stop_spark(settings: Settings) -> None:
    """Ends the Spark Connect server that a run may have started."""
    subprocess.run(
        [sys.executable, "-m", "resources.spark_server", "--stop"],
        check=False,
        env=dict(os.environ) | settings.environment(),
    )


def _url(settings: Settings) -> str:
    return (
        Client(settings).url
        if settings.token
        else f"{'https' if settings.tls_certfile else 'http'}://{settings.host}:{settings.port}"
    )


def _process_table(processes: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("process", "state", "pid", "restarts", box=None, pad_edge=False)
    table.add_column("log", overflow="fold")
    for process in processes:
        row = (process["name"], process["state"], process["pid"] or "-", process["restarts"], process["log"])
        table.add_row(*map(str, row))
    return table
