"""A server of a provider, and the unmodified Delta Sharing client in a separate environment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api_server import Server
from tests.protocols.delta_sharing.provider import DAILY, SILVER, Provider


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Starts a server with shared tables."""
    with Server(tmp_path_factory.mktemp("home"), HEADWATER_RATE_LIMIT="") as server:
        found = Provider(server)
        found.make_tables()
        whole = {"asset": DAILY, "history_from": 1, "comment": "Flights by day"}
        found.share(
            "partners",
            whole,
            {"asset": DAILY, "table_name": "american", "partition_filter": "carrier = 'AA'", "history_from": 1},
            {"asset": DAILY, "table_name": "pinned", "version": "1"},
            {"asset": DAILY, "table_name": "newest"},
            {"asset": SILVER, "schema_name": "clean", "table_name": "flights"},
        )
        found.share("secret", {"asset": SILVER})
        yield found
        found.http.close()
