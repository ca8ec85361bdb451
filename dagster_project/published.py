"""The code location of the assets that users publish over REST.

It imports nothing from the code location of the repository, so that neither can break the other.
"""

import sys
from pathlib import Path

import dagster as dg

from dagster_project import projects


@dg.definitions
def defs() -> dg.Definitions:
    """Returns the published definitions of all projects."""
    # The instances depend on the state versions of this load, so the module of an earlier load is removed.
    sys.modules.pop(f"{projects.__name__}.instances", None)
    return dg.ComponentTree.from_module(defs_module=projects, project_root=Path(__file__).parents[1]).build_defs()
