"""Dagster components and assets, one folder per subject."""
