"""Named selections of the sample's assets, shared by schedules and jobs."""

import dagster as dg

PROJECT = dg.AssetSelection.key_prefixes("flights")
"""All assets of the sample project."""

TABLES = dg.AssetSelection.groups("bronze", "silver", "gold") & PROJECT
"""The tables for queries: ingested (bronze), cleaned (silver) and derived (gold)."""
