"""Configuration of the local Apache Spark: Delta, object stores, and what makes small work fast."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from core.settings import Settings

DELTA_PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0"
"""Maven coordinates. The jar of 4.4.1 was never published, although the Python package is."""

_S3_PACKAGE = "org.apache.hadoop:hadoop-aws:3.5.0"
"""Must be the Hadoop release that pyspark 4.2.0 ships."""

_SHIPPED_WITH_SPARK = (
    "com.fasterxml.jackson.core:jackson-annotations",
    "com.fasterxml.jackson.core:jackson-core",
    "com.fasterxml.jackson.core:jackson-databind",
    "com.github.luben:zstd-jni",
    "commons-logging:commons-logging",
    "io.airlift:aircompressor",
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.apache.logging.log4j:log4j-api",
    "org.apache.logging.log4j:log4j-core",
    "org.apache.logging.log4j:log4j-slf4j2-impl",
    "org.apache.parquet:parquet-column",
    "org.apache.parquet:parquet-common",
    "org.apache.parquet:parquet-encoding",
    "org.apache.parquet:parquet-format-structures",
    "org.apache.parquet:parquet-hadoop",
    "org.apache.parquet:parquet-jackson",
    "org.roaringbitmap:RoaringBitmap",
    "org.slf4j:slf4j-api",
    "org.xerial.snappy:snappy-java",
)
"""Dependencies of delta-spark that Spark has in its own, newer release: not worth 70 MB of download."""


def spark_conf(settings: Settings, host: str, port: int, scratch: Path) -> dict[str, str]:
    """Spark's properties for a Connect server on `host:port` that keeps its temporary files in `scratch`."""
    conf = {
        "spark.connect.grpc.binding.address": host,
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": host,
        "spark.driver.bindAddress": host,
        "spark.ui.enabled": "false",  # it has no login
        "spark.log.level": "WARN",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        # A first small read took 10.9 s with the default of 50 and 200 tasks, 0.9 s with these.
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.shuffle.partitions": str(max(2, os.cpu_count() or 2)),
        # In 4.2.0 a plain Python UDF over columnar input (any Delta table) hangs: the JVM writes the input's schema
        # where its own worker does not expect it.
        "spark.sql.execution.arrow.pythonUDF.columnarInput.enabled": "false",
    }
    packages = [] if settings.spark_jars_dir else [DELTA_PACKAGE]
    if settings.effective_lakehouse_url.startswith(("s3://", "s3a://")):
        conf |= _s3a(settings.storage_options)
        packages += [] if settings.spark_jars_dir else [_S3_PACKAGE]
    if packages:
        conf |= {"spark.jars.packages": ",".join(packages), "spark.jars.excludes": ",".join(_SHIPPED_WITH_SPARK)}
    return conf


def _s3a(options: Mapping[str, str]) -> dict[str, str]:
    """delta-rs' option names as Hadoop's S3 client calls them."""
    aws = aws_environment(options)
    wanted = {
        "AWS_ACCESS_KEY_ID": "spark.hadoop.fs.s3a.access.key",
        "AWS_SECRET_ACCESS_KEY": "spark.hadoop.fs.s3a.secret.key",
        "AWS_SESSION_TOKEN": "spark.hadoop.fs.s3a.session.token",
        "AWS_ENDPOINT_URL": "spark.hadoop.fs.s3a.endpoint",
        "AWS_REGION": "spark.hadoop.fs.s3a.endpoint.region",
    }
    return {
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.path.style.access": "true" if "AWS_ENDPOINT_URL" in aws else "false",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false" if aws.get("AWS_ALLOW_HTTP") == "true" else "true",
        **{theirs: aws[ours] for ours, theirs in wanted.items() if ours in aws},
    }


def aws_environment(options: Mapping[str, str]) -> dict[str, str]:
    """delta-rs' storage options as environment variables of an AWS client."""
    return {key.upper(): value for key, value in options.items() if key.lower().startswith("aws_")}
