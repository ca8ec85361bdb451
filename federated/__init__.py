"""Federated learning: rounds of Flower's strategies over clients that never share a row.

Uses the lakehouse and Flower; doesn't depend on Dagster or FastAPI. This module doesn't import Flower, because
`federated.spec` must load fast.
"""

import os

# Flower reads this variable once, at import. Telemetry stays off: a federation must not send data elsewhere.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
