"""Which files pytest-xdist gives to one process, because they share what takes long to start."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

_PLATFORM = (
    "asset_journeys",
    "branches",
    "console_definitions",
    "console_models",
    "documented_commands",
    "every_page",
    "platform_login",
    "notebook_tutorial",
    "pipelines",
    "platform",
    "postgresql_tutorial",
    "reproduce",
)
PLATFORM = {f"tests/e2e/test_{name}.py" for name in _PLATFORM}
"""The files whose tests use the fixture `platform` of `tests/e2e`."""

PUBLISHING = "tests/reliability/publishing/"
"""The folder whose tests use one set of Dagster's processes."""

SPARK = "tests/protocols/spark/"
"""The folder whose tests use one server of each engine of Spark."""


def group_of(file: str) -> str:
    """Returns the name that all files of one process have in common; a file that shares nothing has its own."""
    if file in PLATFORM:
        return "platform"
    return next((folder for folder in (PUBLISHING, SPARK) if file.startswith(folder)), file)


class OneProcess(LoadFileScheduling):
    """Gives each file to any process, and the files of a group to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(super()._split_scope(nodeid))
