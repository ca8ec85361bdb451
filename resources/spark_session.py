"""Opens sessions on a Spark Connect server. Imports nothing of Dagster, so that a script gets its first rows soon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resources.spark_server import Server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def connect(server: Server) -> SparkSession:
    """Opens a session of its own on a server: nothing in it is seen by other sessions."""
    from pyspark.sql import SparkSession

    session: SparkSession = SparkSession.builder.remote(server.url).create()
    if server.engine != "remote":
        # On loopback no answer means a dead server, and its successor would run a write a second time.
        session.client.set_retry_policies([])
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session
