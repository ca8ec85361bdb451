"""dagster-pyspark's resource on the platform's Spark engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from core.settings import Settings
from resources.spark.server import endpoint
from resources.spark.session import connect

if TYPE_CHECKING:
    from dagster_pyspark import PySparkResource


def pyspark_resource(settings: Settings) -> PySparkResource:
    """Returns dagster-pyspark's resource on the same engine, for assets that use dagster-pyspark.

    The server starts when a run initializes the resource, not when definitions load.
    """
    from dagster_pyspark import PySparkResource

    class ConnectedPySparkResource(PySparkResource):
        """A `PySparkResource` that is connected to the platform's Spark Connect server."""

        def setup_for_execution(self, context: dg.InitResourceContext) -> None:
            """Connects to the server; starts it first if necessary."""
            self._spark_session: Any = connect(endpoint(settings))

        def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
            """Ends the session."""
            self._spark_session.stop()

    return ConnectedPySparkResource(spark_config={})
