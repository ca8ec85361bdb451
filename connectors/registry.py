"""All types of connectors."""

from __future__ import annotations

from connectors.connector import Connector
from connectors.types.postgresql import PostgreSql
from connectors.types.s3 import S3

CONNECTORS: dict[str, Connector] = {one.name: one for one in (PostgreSql(), S3())}
"""Every type of connector by its name."""
