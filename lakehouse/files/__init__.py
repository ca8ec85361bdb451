"""Readers of delimited text, JSON, and Parquet files."""
