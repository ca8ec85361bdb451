"""What stands beside the published assets. It is part of the tree, so that a reload of the assets keeps it."""

import dagster as dg

from dagster_project.surroundings import around_published


@dg.definitions
def defs() -> dg.Definitions:
    """Resources, automation and executor."""
    return around_published()
