"""A server in a separate process, for a bench.

Arguments: home, and the URL of the metadata database, or nothing for SQLite. It writes its URL and the token
of the admin as one line of JSON, and ends with its standard input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.api_server import Server


def main(home: str, database_url: str = "") -> None:
    """Serves until the standard input ends."""
    variables = {"HEADWATER_RATE_LIMIT": "", "HEADWATER_ACCESS_LOG": "false"}
    if database_url:
        variables["HEADWATER_DATABASE_URL"] = database_url
    with Server(Path(home), **variables) as server:
        print(json.dumps({"url": server.url, "token": server.tokens["admin"]}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
