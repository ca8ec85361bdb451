"""The read API of Marquez: catalogs and their clients read lineage of the platform and of other systems.

External jobs, runs, and datasets are those of OpenLineage events. The assets of the platform are datasets of the
namespace `headwater`, and the jobs that make them have the same names. Everything is as visible as over REST.
"""

from api.protocols.marquez.app import mounts

__all__ = ["mounts"]
