"""All types of connectors."""

from __future__ import annotations

from connectors.connector import Connector
from connectors.types.postgresql import PostgreSql
from connectors.types.s3 import S3
from connectors.types.s3_credential import S3Credential
from connectors.types.s3_location import S3Location

CONNECTORS: dict[str, Connector] = {one.name: one for one in (PostgreSql(), S3())}
"""Every type of connector by its name."""

S3_CREDENTIAL = S3Credential()
S3_LOCATION = S3Location()

STORAGE: dict[str, Connector] = {one.name: one for one in (S3_CREDENTIAL, S3_LOCATION)}
"""The connectors of storage credentials and external locations."""
