"""Opens sessions on a Spark Connect server. Doesn't import Dagster, so that scripts start fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resources.spark.server import Server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def connect(server: Server) -> SparkSession:
    """Opens a separate session on a server. Other sessions can't see its views and settings."""
    from pyspark.sql import SparkSession

    session: SparkSession = SparkSession.builder.remote(server.url).create()
    if server.engine != "remote":
        # On loopback, no response means that the server died. A retry could run a write again on the next server.
        session.client.set_retry_policies([])
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session
