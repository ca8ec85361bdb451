"""The shared definitions of published assets, in the component tree so that a reload of the assets keeps them."""

import dagster as dg

from dagster_project.shared_definitions import shared_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Returns resources, automation, and executor."""
    return shared_definitions()
