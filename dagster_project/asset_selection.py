"""Evaluation of a selection of assets, as the subprocess job `python -m dagster_project.asset_selection`.

The job reads `{"selection": text, "assets": [{"id", "upstream", "group", "kinds", "owners", "tags"}, ...]}` from
standard input. It prints `{"assets": [id, ...]}`, or `{"error": reason}` if the text is no selection. The text is in
the language of Dagster, such as `group:gold and kind:delta` or `+key:"flights/gold/totals"`, and Dagster's own parser
reads it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from dagster_project.subprocess_jobs import main

_MAX_REASON = 300


def asset_selection(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the answer to a request."""
    import dagster as dg
    from dagster import DagsterError

    from core.ids import asset_id, asset_key

    assets = []
    for asset in request["assets"]:
        spec = dg.AssetSpec(
            asset_key(asset["id"]),
            deps=[dg.AssetKey(asset_key(name)) for name in asset["upstream"]],
            group_name=asset["group"],
            owners=asset["owners"],
            tags={**asset["tags"], **{f"dagster/kind/{kind}": "" for kind in asset["kinds"]}},
        )

        # A spec alone is an asset that others make, which a selection leaves out.
        @dg.multi_asset(specs=[spec], name=asset["id"].replace(".", "__"))
        def make() -> None:
            pass

        assets.append(make)
    try:
        with warnings.catch_warnings():
            # If warnings are errors, Dagster takes its own warning for a fault of the text.
            warnings.simplefilter("ignore", dg.BetaWarning)
            selection = dg.AssetSelection.from_string(request["selection"])
            keys = selection.resolve(dg.Definitions(assets=assets).resolve_asset_graph())
    except (DagsterError, RecursionError) as error:
        return {"error": str(error).partition("\n")[0][:_MAX_REASON]}
    offered = {asset["id"] for asset in request["assets"]}
    return {"assets": sorted(offered & {asset_id(key.path) for key in keys})}


if __name__ == "__main__":
    main("asset_selection")
