"""Federated learning: rounds of Flower's real strategies over clients that never share a row.

Knows the lakehouse and Flower; knows neither Dagster nor FastAPI. Flower is imported by the modules that use it,
not here, because `federated.spec` must stay cheap to load.
"""

import os

# Flower reads this once, when it is imported. A platform for data that must not leave its place does not phone home.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
