"""`headwater assets`, `materialize` and `lineage`: the asset graph from a terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.client import Client
from api.cli.sample import publish
from core.errors import InvalidArgument, Unavailable

if TYPE_CHECKING:
    from rich.tree import Tree

_FINAL = ("SUCCEEDED", "FAILED", "CANCELED")
_COLOURS = {"HEALTHY": "green", "WARNING": "yellow", "DEGRADED": "red", "UNKNOWN": "dim"}

assets = typer.Typer(help="List, show and define assets.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands of this page."""
    app.add_typer(assets, name="assets")
    app.command()(materialize)
    app.command()(lineage)


@assets.command("list")
def list_assets(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """List assets with health and staleness."""
    from rich.console import Console
    from rich.table import Table

    found = list(Client().items("ai-catalog/assets"))
    if as_json:
        print(json.dumps(found, indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("asset", "health", "staleness", "version"):
        table.add_column(heading, no_wrap=True)
    table.add_column("kinds", overflow="fold")
    for asset in found:
        health = asset["health"]
        version = (asset["data_version"] or "").rpartition("@")[2] or "-"
        kinds = ", ".join(asset["kinds"])
        table.add_row(asset["id"], f"[{_COLOURS.get(health, '')}]{health}", asset["staleness"], version, kinds)
    Console().print(table)


@assets.command("get")
def get_asset(asset: Annotated[str, typer.Argument(help="Asset id, such as flights.gold.route_delays.")]) -> None:
    """Show everything known of an asset, as JSON."""
    print(json.dumps(Client().get(f"ai-catalog/assets/{asset}"), indent=1))


@assets.command("define")
def define_asset(
    file: Annotated[Path, typer.Argument(help="YAML with `component` and `attributes`.", exists=True, dir_okay=False)],
) -> None:
    """Create or update a definition and publish it."""
    import yaml

    try:
        definition = yaml.safe_load(file.read_text())
        asset = definition["attributes"]["asset"]
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise InvalidArgument(
            f"{file} is not a definition: it needs `component` and `attributes.asset` ({error})."
        ) from error
    publish(Client(), definition)
    print(f"{asset} is published.")


def materialize(
    ids: Annotated[list[str], typer.Argument(metavar="ASSET...", help="Asset ids.")],
    upstream: Annotated[bool, typer.Option("--upstream", help="Everything they are made from, too.")] = False,
    partition: Annotated[list[str] | None, typer.Option(help="Partition key; repeatable.")] = None,
) -> None:
    """Materialize assets and watch. Exit status 1 when the run did not succeed."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    client = Client()
    body: dict[str, Any] = {"assets": ids, "upstream": upstream}
    if partition:
        body["partitions"] = partition
    operation = client.post("ai-catalog/assets:materialize", body)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
    )
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task(operation["state"], total=operation["progress"]["total"] or None)
        while operation["state"] not in _FINAL:
            time.sleep(0.2)
            operation = client.get(f"operations/{operation['id']}")
            steps = operation["progress"]
            progress.update(task, description=operation["state"], completed=steps["done"], total=steps["total"] or None)
    if operation["state"] != "SUCCEEDED":
        raise Unavailable(f"{operation['id']} ended {operation['state']}: {operation['error'] or 'see its logs'}")
    for asset in ids:
        print(f"{asset}  {client.get(f'ai-catalog/assets/{asset}')['data_version']}")


def lineage(
    asset: Annotated[str, typer.Argument(help="Asset id.")],
    direction: Annotated[str, typer.Option(help="upstream or downstream.")] = "upstream",
    depth: Annotated[int, typer.Option(help="How many steps to follow.")] = 10,
    version: Annotated[str | None, typer.Option(help="Table version; default: the latest.")] = None,
) -> None:
    """Draw what an asset was made from, or what was made from it, with exact versions."""
    from rich.console import Console

    query = {"direction": direction, "depth": depth, "version": version}
    graph = Client().get(f"ai-catalog/assets/{asset}/lineage", **query)
    Console().print(_tree(graph, direction))


def _tree(graph: dict[str, Any], direction: str) -> Tree:
    from rich.tree import Tree

    near, far = ("out", "in") if direction == "upstream" else ("in", "out")
    children: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
    for edge in graph["edges"]:
        start = (edge[f"{near}_asset"], edge[f"{near}_version"])
        children.setdefault(start, {})[(edge[f"{far}_asset"], edge[f"{far}_version"])] = None
    shown: set[tuple[str, str]] = set()

    def grow(branch: Tree, node: tuple[str, str]) -> None:
        if node in shown:
            if children.get(node):
                branch.add("[dim]... shown above")
            return
        shown.add(node)
        for child in children.get(node, ()):
            grow(branch.add(_label(*child)), child)

    root = (graph["asset"], graph["version"])
    tree = Tree(_label(*root))
    grow(tree, root)
    if graph["truncated"]:
        tree.add("[yellow]more lies beyond; raise --depth")
    return tree


def _label(asset: str, version: str) -> str:
    table_version = version.rpartition("@")[2]
    return f"[bold]{asset}[/bold] [cyan]@{table_version[:19]}[/cyan]"  # a file's digest is longer than a line
