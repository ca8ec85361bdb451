"""A case for each operation that passes on power: what it passes on, and the request that does so."""

from __future__ import annotations

from tests.conformance import power_of_principals, power_of_tenants  # noqa: F401 - they register cases
from tests.conformance.power_world import CASES, OWN_ONLY

__all__ = ["CASES", "OWN_ONLY"]
