"""The command `headwater search`."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.client import Client
from api.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(search)


def search(
    index: Annotated[str, typer.Argument(help="Index id, such as flights.index.handbook.")],
    query: Annotated[str, typer.Argument(help="Words or a question.")],
    limit: Annotated[int, typer.Option(help="Maximum number of passages.", min=1, max=100)] = 5,
    mode: Annotated[str, typer.Option(help="hybrid, vector or text.")] = "hybrid",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Search an index, and print the best passages with their citations."""
    result = Client().post(f"rag/indexes/{index}:search", {"query": query, "k": limit, "mode": mode})
    if as_json:
        print_json(result)
        return
    for hit in result["hits"]:
        citation = hit["citation"]
        print(f"{hit['score']:.3f}  {citation['document']}  {citation.get('heading') or hit['title']}")
        print("\n".join(f"       {line}" for line in hit["text"].splitlines()))
    if not result["hits"]:
        print("No passage was found.")
