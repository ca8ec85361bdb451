"""The connections service."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.connections.kinds import (
    connection_discovery,
    connection_inspection,
    connection_query,
    connection_rotation,
    connection_statistics,
    connection_test,
    connection_use,
    health_results,
    schema_diff,
    secret_versions,
)
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.kinds.connector_type import CONNECTOR_TYPE
from api.services.connections.kinds.egress_policy import EGRESS_POLICY
from api.services.connections.kinds.health_monitor import HEALTH_MONITOR
from api.services.connections.kinds.schema_snapshot import SCHEMA_SNAPSHOT
from api.services.connections.kinds.secret import SECRET
from api.services.connections.logic import schema_capture

PARTS = (
    connection_discovery,
    connection_inspection,
    connection_query,
    connection_rotation,
    connection_statistics,
    connection_test,
    connection_use,
    health_results,
    schema_diff,
    secret_versions,
)
"""Modules that register operations on other kinds."""

SERVICE = Service(
    "connections",
    "Connections",
    [CONNECTION, CONNECTOR_TYPE, EGRESS_POLICY, HEALTH_MONITOR, SCHEMA_SNAPSHOT, SECRET],
    description="Databases and object stores of a company, reached with secrets that no operation returns.",
    sagas=[schema_capture.SAGA],
)
