"""The command `headwater schedules`."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.client import Client
from api.cli.output import print_json, print_table, time

schedules = typer.Typer(help="List, start, and stop schedules.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.add_typer(schedules, name="schedules")


@schedules.callback()
def list_schedules(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List schedules, or start or stop one."""
    if context.invoked_subcommand:
        return
    items = list(Client().items("ai-catalog/schedules"))
    if as_json:
        print_json(items)
        return
    rows = [
        (item["id"], item["state"], item["cron"], item["timezone"], time(item["next_at"]), ", ".join(item["assets"]))
        for item in items
    ]
    print_table(("schedule", "state", "cron", "time zone", "next", "assets"), rows, fold=("assets",))


@schedules.command("start")
def start(schedule: Annotated[str, typer.Argument(help="Id of the schedule.")]) -> None:
    """Start a schedule, which then launches its assets at its times."""
    _act(schedule, "start")


@schedules.command("stop")
def stop(schedule: Annotated[str, typer.Argument(help="Id of the schedule.")]) -> None:
    """Stop a schedule. Runs that it has launched continue."""
    _act(schedule, "stop")


def _act(schedule: str, verb: str) -> None:
    changed = Client().post(f"ai-catalog/schedules/{schedule}:{verb}")
    print(f"{changed['id']}  {changed['state']}")
