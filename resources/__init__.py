"""Dagster resources: access to the lakehouse, Spark, search indexes, Flower and training devices."""
