"""Dagster resources: how assets reach the lakehouse, Spark, vectors, Flower and devices."""
