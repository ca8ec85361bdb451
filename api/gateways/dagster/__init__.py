"""`core.ports.Orchestrator` over Dagster's GraphQL on loopback."""

from api.gateways.dagster.client import DagsterClient
from api.gateways.dagster.orchestrator import DagsterOrchestrator

__all__ = ["DagsterClient", "DagsterOrchestrator"]
