"""Named sets of the sample's assets, so that schedules and jobs agree on what they mean."""

import dagster as dg

PROJECT = dg.AssetSelection.key_prefixes("flights")
"""Everything of the sample project."""

TABLES = dg.AssetSelection.groups("bronze", "silver", "gold") & PROJECT
"""The tables people query: as ingested, cleaned, and products."""
