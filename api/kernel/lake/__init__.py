"""Lakehouse models that several services use: lists of assets, versions, and provenance."""
