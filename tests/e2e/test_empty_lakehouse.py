"""A platform without the sample's first run: its assets are declared, and none has data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.running_platform import started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_it_is_ready_when_make_returns_and_makes_an_asset_with_all_it_needs(tmp_path: Path) -> None:
    with started(tmp_path, HEADWATER_SAMPLE="false") as platform:
        state = json.loads(platform.headwater("status", "--json").stdout)
        assert (state["state"], state["sample"]["state"]) == ("READY", "SKIPPED")
        made = platform.headwater("materialize", "flights.silver.flights", "--upstream")
        assert made.returncode == 0, made.stdout + made.stderr
        with platform.client() as client:
            versions = {item["id"]: item["data_version"] for item in client.get("ai-catalog/assets").json()["items"]}
        # The airlines are no input of it; a check that blocks compares it with them.
        assert versions["flights.silver.flights"]
        assert versions["flights.silver.airlines"]
        assert versions["flights.gold.carrier_punctuality"] is None
