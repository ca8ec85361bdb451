"""A platform with its console in a separate process, for `bench_console.py`.

It has 100,000 groups, and writes its address as a line of JSON. A line on its standard input adds 5,010 assets, which
it confirms with another line. It ends with its standard input.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from api.kernel.tables import RESOURCE
from api.services.admin.kinds.group import GROUP, GroupSpec
from core.db import Database
from tests.api_server import Server
from tests.large_graph import large_graph
from tests.resources import plain_row

GROUPS = 100_000


def main(home: str) -> None:
    """Serves until the standard input ends."""
    server = Server(Path(home), HEADWATER_RATE_LIMIT="", HEADWATER_ACCESS_LOG="false")
    _add_groups(server.api.database)
    # As `headwater up` does.
    gc.collect()
    gc.freeze()
    with server:
        print(json.dumps({"url": server.url}), flush=True)
        for _ in sys.stdin:
            server.orchestrator.nodes.update(large_graph())
            print(json.dumps({"assets": len(server.orchestrator.nodes)}), flush=True)


def _add_groups(database: Database) -> None:
    spec = json.loads(GroupSpec(title="A group").model_dump_json(by_alias=True))
    documents = {"spec": spec, "status": {"state": "ACTIVE"}, "shape": GROUP.shape}
    row = plain_row() | {"kind": "admin.group", "scope_id": "org_default", **documents}
    for start in range(0, GROUPS, 20_000):
        numbers = range(start, min(start + 20_000, GROUPS))
        with database.write() as connection:
            connection.execute(
                RESOURCE.insert(), [row | {"id": f"grp_{n:026d}", "name": f"crowd-{n}"} for n in numbers]
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
