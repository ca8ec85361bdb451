"""The commands `headwater up`, `down`, `status`, `token`, and `config`, for a platform on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Annotated, Any

import typer

from api.cli import sample
from api.cli.client import Client, issue_token
from api.cli.output import print_json, print_table
from api.cli.programs import programs, serves
from core import supervisor
from core.errors import Conflict, InvalidArgument, Unavailable
from core.private import make_private, restrict_all
from core.settings import Settings, declared_settings, load_settings

_READY_SECONDS = 120.0
_SAMPLE_SECONDS = 1200.0


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(token)
    app.command()(config)


def up(
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", help="Run in the background. Return when the platform is ready and the sample has run."
        ),
    ] = False,
    services: Annotated[
        str,
        typer.Option("--services", help="Serve only these services, next to a running platform, such as admin,rag."),
    ] = "",
) -> None:
    """Start the platform. Ctrl-C stops it."""
    settings = load_settings()
    if services:
        _up_services(settings, services)
        return
    if detach:
        _up_detached(settings)
        return
    _prepare(settings)
    processes = supervisor.Supervisor(
        settings.run_dir, settings.logs_dir, programs(settings), serves=lambda: serves(settings)
    )
    first_run = sample.FirstRun(settings)
    processes.state["url"] = _url(settings)
    processes.state["sample"] = first_run.describe()
    started = time.monotonic()

    def on_tick(running: supervisor.Supervisor) -> None:
        running.state["sample"] = first_run.describe()
        if running.ready and not first_run.started:
            first_run.started = True
            print(f"\nHeadwater is up after {time.monotonic() - started:.1f} s: {_url(settings)}\n", flush=True)
            threading.Thread(target=first_run.run, name="sample", daemon=True).start()

    processes.on_tick = on_tick
    print(f"Starting Headwater in {settings.home} ...", flush=True)
    try:
        processes.run()
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
    """Show the processes of the platform. The exit status is 1 if the platform is not ready."""
    settings = load_settings()
    state: dict[str, Any] = supervisor.read_state(settings.run_dir) or {"state": "STOPPED", "processes": []}
    state = {"home": str(settings.home), **state}
    if as_json:
        print_json(state)
    else:
        print(f"{state['state']}  {state.get('url', '')}  home {state['home']}")
        if state["processes"]:
            _print_processes(state["processes"])
        if first_run := state.get("sample"):
            print(f"sample project: {first_run['state']} {first_run['detail']}")
    if state["state"] != "READY":
        raise typer.Exit(1)


def token(
    label: Annotated[str, typer.Option(help="Purpose of the token.")] = "command line",
    hours: Annotated[float, typer.Option(help="Lifetime in hours.")] = 24.0,
) -> None:
    """Print a bearer token of the admin for scripts."""
    print(issue_token(load_settings(), label, hours))


def config(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Print all settings with their effective values and sources."""
    settings = load_settings()
    rows = []
    for setting in declared_settings():
        value = getattr(settings, setting.name)
        text = "********" if setting.secret and value else str(value)
        rows.append(
            {
                "name": setting.name,
                "value": text,
                "source": settings.sources.get(setting.name, "default"),
                "variable": setting.variable,
                "help": setting.help,
            }
        )
    if as_json:
        print_json(rows)
        return
    printed = [(row["name"], row["value"], row["source"], row["help"]) for row in rows]
    print_table(("setting", "value", "source", "description"), printed, fold=("value", "description"))


def _prepare(settings: Settings) -> None:
    """Prepares ports, folders, database, and Dagster's instance folder before the first process starts. Idempotent."""
    _refuse_insecure_bind(settings)
    if supervisor.read_state(settings.run_dir):
        raise Conflict(f"Headwater already runs in {settings.home}. Stop it with `headwater down` first.")
    from api.cli.doctor import busy_ports

    if busy := busy_ports(settings):
        numbers = ", ".join(str(port) for port in busy)
        raise Conflict(f"Another program uses port {numbers}. Stop it or choose another HEADWATER_PORT.")
    make_private(settings.home)
    restrict_all(settings.home)
    for folder in (settings.keys_dir, settings.run_dir, settings.logs_dir):
        folder.mkdir(parents=True, exist_ok=True)
    migrate(settings)
    _create_admin(settings)
    # In a separate process, because the API side never imports the Dagster side.
    subprocess.run(
        [sys.executable, "-m", "dagster_project.instance"], check=True, env=dict(os.environ) | settings.environment()
    )


def migrate(settings: Settings) -> None:
    """Upgrades the metadata database to the newest revision."""
    from migrations import upgrade

    upgrade(settings.effective_database_url)


def _refuse_insecure_bind(settings: Settings) -> None:
    if settings.host not in ("127.0.0.1", "localhost", "::1") and not (settings.tls_certfile or settings.insecure_bind):
        raise InvalidArgument(
            f"HEADWATER_HOST={settings.host} exposes the platform to the network without TLS. Set "
            "HEADWATER_TLS_CERTFILE and HEADWATER_TLS_KEYFILE, or HEADWATER_INSECURE_BIND=true behind a proxy that "
            "terminates TLS."
        )


def _create_admin(settings: Settings) -> None:
    from api.services.admin.logic.bootstrap import bootstrap
    from core.db import Database

    database = Database(settings.effective_database_url)
    password = bootstrap(database, settings.admin_password, "flights" if settings.sample else "")
    database.close()
    if password and not settings.admin_password:
        print(f"\n  First start. Log in as  admin  with the password  {password}\n  It is not shown again.\n")


def _up_services(settings: Settings, services: str) -> None:
    """Replaces this process with an API process for some services."""
    _refuse_insecure_bind(settings)
    make_private(settings.home)
    migrate(settings)
    environment = dict(os.environ) | settings.environment() | {"HEADWATER_SERVICES": services}
    print(f"Serving {services} at {_url(settings)}", flush=True)
    os.execve(sys.executable, [sys.executable, "-m", "api.main"], environment)  # noqa: S606 - no shell


def _up_detached(settings: Settings) -> None:
    make_private(settings.home)
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
    printed = 0
    deadline = time.monotonic() + _READY_SECONDS + _SAMPLE_SECONDS
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        print(text[printed:], end="", flush=True)
        printed = len(text)
        if process.poll() is not None:
            raise Unavailable(f"The platform did not start. The reason is above and in {log}.")
        state = supervisor.read_state(settings.run_dir)
        outcome = state["sample"]["state"] if state else "WAITING"
        if outcome == "FAILED":
            raise Unavailable(f"The platform runs, but the first run of the sample failed: {state['sample']['detail']}")  # type: ignore[index]
        if state and state["state"] == "READY" and outcome in ("SUCCEEDED", "SKIPPED"):
            # Removes a generated password from the file.
            log.write_text("")
            return
        time.sleep(0.3)
    raise Unavailable(f"The platform was not ready in time. See `headwater status` and {settings.logs_dir}.")


def _stop_spark(settings: Settings) -> None:
    """Stops the Spark Connect server that a run may have started."""
    subprocess.run(
        [sys.executable, "-m", "resources.spark.server", "--stop"],
        check=False,
        env=dict(os.environ) | settings.environment(),
    )


def _url(settings: Settings) -> str:
    return (
        Client(settings).url
        if settings.token
        else f"{'https' if settings.tls_certfile else 'http'}://{settings.host}:{settings.port}"
    )


def _print_processes(processes: list[dict[str, Any]]) -> None:
    fields = ("name", "state", "pid", "restarts", "log")
    rows = [
        [process[field] or ("-" if field == "pid" else process[field]) for field in fields] for process in processes
    ]
    print_table(("process", *fields[1:]), rows, fold=("log",))
