"""The connections service."""

from __future__ import annotations

from api.kernel.kinds.service import Service
from api.services.connections.kinds import connection_discovery, connection_rotation, connection_test, secret_versions
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.kinds.connector_type import CONNECTOR_TYPE
from api.services.connections.kinds.secret import SECRET

PARTS = (connection_discovery, connection_rotation, connection_test, secret_versions)
"""Modules that register operations on other kinds."""

SERVICE = Service(
    "connections",
    "Connections",
    [CONNECTION, CONNECTOR_TYPE, SECRET],
    description="Databases and object stores of a company, reached with secrets that no operation returns.",
)
