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
    location_use,
    schema_diff,
    secret_versions,
    vended_credential,
)
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.kinds.connector_type import CONNECTOR_TYPE
from api.services.connections.kinds.egress_policy import EGRESS_POLICY
from api.services.connections.kinds.external_location import EXTERNAL_LOCATION
from api.services.connections.kinds.health_monitor import HEALTH_MONITOR
from api.services.connections.kinds.lease import LEASE
from api.services.connections.kinds.schema_snapshot import SCHEMA_SNAPSHOT
from api.services.connections.kinds.secret import SECRET
from api.services.connections.kinds.storage_credential import STORAGE_CREDENTIAL
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
    location_use,
    schema_diff,
    secret_versions,
    vended_credential,
)
"""Modules that register operations on other kinds."""

SERVICE = Service(
    "connections",
    "Connections",
    [
        CONNECTION,
        CONNECTOR_TYPE,
        EGRESS_POLICY,
        EXTERNAL_LOCATION,
        HEALTH_MONITOR,
        LEASE,
        SCHEMA_SNAPSHOT,
        SECRET,
        STORAGE_CREDENTIAL,
    ],
    description="Databases and object stores of a company, reached with secrets that no operation returns.",
    sagas=[schema_capture.SAGA],
)
