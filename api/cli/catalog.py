"""The commands `headwater assets`, `materialize`, `history`, and `lineage`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.client import Client
from api.cli.operations import watch
from api.cli.output import console, print_json, print_table, time
from api.cli.sample import publish
from core.errors import InvalidArgument, Unavailable

if TYPE_CHECKING:
    from rich.tree import Tree

_COLORS = {
    "HEALTHY": "green",
    "STALE": "yellow",
    "WARNING": "yellow",
    "UNCHECKED": "yellow",
    "RUNNING": "cyan",
    "DEGRADED": "red",
    "UNKNOWN": "dim",
}

assets = typer.Typer(help="List, show, and define assets.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.add_typer(assets, name="assets")
    app.command()(materialize)
    app.command()(lineage)
    app.command()(history)


@assets.command("list")
def list_assets(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    retired: Annotated[bool, typer.Option("--retired", help="Include assets with a retired definition.")] = False,
) -> None:
    """List assets with health and staleness."""
    from rich.text import Text

    items = list(Client().items("ai-catalog/assets", **({"show_retired": True} if retired else {})))
    if as_json:
        print_json(items)
        return
    rows = [
        (
            f"{asset['id']} (retired)" if asset["retired"] else asset["id"],
            Text(asset["health"], style=_COLORS.get(asset["health"], "")),
            asset["staleness"],
            (asset["data_version"] or "").rpartition("@")[2] or None,
            ", ".join(asset["kinds"]),
        )
        for asset in items
    ]
    print_table(("asset", "health", "staleness", "version", "kinds"), rows, fold=("kinds",))


@assets.command("get")
def get_asset(asset: Annotated[str, typer.Argument(help="Asset id, such as flights.gold.route_delays.")]) -> None:
    """Show an asset with its state as JSON."""
    print_json(Client().get(f"ai-catalog/assets/{asset}"))


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
            f"{file} is not a definition. It needs `component` and `attributes.asset` ({error})."
        ) from error
    publish(Client(), definition)
    print(f"{asset} is published.")


@assets.command("retire")
def retire_asset(asset: Annotated[str, typer.Argument(help="Id of a published definition.")]) -> None:
    """Retire a definition. Its assets keep their versions, lineage, and history, but are no longer materialized."""
    print(f"{Client().post(f'ai-catalog/definitions/{asset}:retire')['id']} is retired.")


@assets.command("reinstate")
def reinstate_asset(
    asset: Annotated[str, typer.Argument(help="Id of a retired definition.")],
    edited: Annotated[bool, typer.Option("--edited", help="Publish the edited draft instead.")] = False,
) -> None:
    """Publish a retired definition again, as it was last published."""
    print(f"{Client().post(f'ai-catalog/definitions/{asset}:reinstate', {'edited': edited})['id']} is published.")


@assets.command("delete")
def delete_asset(asset: Annotated[str, typer.Argument(help="Id of a definition without versions.")]) -> None:
    """Permanently delete a draft, or a retired definition whose assets have no versions."""
    Client().delete(f"ai-catalog/definitions/{asset}")
    print(f"{asset} is deleted.")


def materialize(
    ids: Annotated[list[str], typer.Argument(metavar="ASSET...", help="Asset ids.")],
    upstream: Annotated[bool, typer.Option("--upstream", help="Include everything upstream of them.")] = False,
    partition: Annotated[list[str] | None, typer.Option(help="Partition key. Repeatable.")] = None,
    accept_unchecked: Annotated[
        bool, typer.Option("--accept-unchecked", help="Read inputs that did not pass their blocking checks.")
    ] = False,
) -> None:
    """Materialize assets and show the progress. The exit status is 1 if the operation does not succeed."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    client = Client()
    body: dict[str, Any] = {"assets": ids, "upstream": upstream}
    if partition:
        body["partitions"] = partition
    if accept_unchecked:
        body["accept_unchecked"] = True
    operation = client.post("ai-catalog/assets:materialize", body)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
    )
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task(operation["state"], total=operation["progress"]["total"] or None)

        def show(operation: dict[str, Any]) -> None:
            steps = operation["progress"]
            progress.update(task, description=operation["state"], completed=steps["done"], total=steps["total"] or None)

        operation = watch(client, operation, show)
    if operation["state"] != "SUCCEEDED":
        raise Unavailable(f"{operation['id']} ended {operation['state']}: {operation['error'] or 'see its logs'}")
    for asset in ids:
        print(f"{asset}  {client.get(f'ai-catalog/assets/{asset}')['data_version']}")


def history(
    asset: Annotated[str, typer.Argument(help="Asset id.")],
    limit: Annotated[int, typer.Option(help="Maximum number of versions.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List the versions of the table of an asset, newest first, with the operation that wrote each."""
    from itertools import islice

    items = list(islice(Client().items(f"ai-catalog/assets/{asset}/history"), limit))
    if as_json:
        print_json(items)
        return
    rows = [(item["table_version"], time(item["committed_at"]), item["operation"], item["row_count"]) for item in items]
    print_table(("version", "committed", "operation", "rows"), rows, right=("version", "rows"))


def lineage(
    asset: Annotated[str, typer.Argument(help="Asset id.")],
    direction: Annotated[str, typer.Option(help="upstream or downstream.")] = "upstream",
    depth: Annotated[int, typer.Option(help="Maximum number of steps.")] = 10,
    version: Annotated[str | None, typer.Option(help="Table version. By default the latest.")] = None,
) -> None:
    """Show the versions from which an asset was produced, or the versions that were produced from it, as a tree."""
    query = {"direction": direction, "depth": depth, "version": version}
    graph = Client().get(f"ai-catalog/assets/{asset}/lineage", **query)
    console().print(_tree(graph, direction))


def _tree(graph: dict[str, Any], direction: str) -> Tree:
    from rich.tree import Tree

    near, far = ("out", "in") if direction == "upstream" else ("in", "out")
    children: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
    for edge in graph["edges"]:
        start = (edge[f"{near}_asset"], edge[f"{near}_version"])
        children.setdefault(start, {})[(edge[f"{far}_asset"], edge[f"{far}_version"])] = None
    drawn: set[tuple[str, str]] = set()

    def grow(branch: Tree, node: tuple[str, str]) -> None:
        if node in drawn:
            if children.get(node):
                branch.add("[dim]... shown above")
            return
        drawn.add(node)
        for child in children.get(node, ()):
            grow(branch.add(_label(*child)), child)

    root = (graph["asset"], graph["version"])
    tree = Tree(_label(*root))
    grow(tree, root)
    if graph["truncated"]:
        tree.add("[yellow]truncated; increase --depth")
    return tree


def _label(asset: str, version: str) -> str:
    table_version = version.rpartition("@")[2]
    return f"[bold]{asset}[/bold] [cyan]@{table_version[:19]}[/cyan]"  # the digest of a file is longer than a line
