"""Composition root of the assets that users publish over REST: a code location of their own, apart from the code's.

Imports nothing that the code location of the repository defines, so that neither can break the other.
"""

import sys
from pathlib import Path

import dagster as dg

from dagster_project import projects


@dg.definitions
def defs() -> dg.Definitions:
    """The published definitions of every project."""
    # Its instances follow the state versions of this very load, so an earlier load's must not be found.
    sys.modules.pop(f"{projects.__name__}.instances", None)
    return dg.ComponentTree.from_module(defs_module=projects, project_root=Path(__file__).parents[1]).build_defs()
