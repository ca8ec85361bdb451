"""The folders in which files of definitions are found: landing areas of projects, and folders of the repository."""

from __future__ import annotations

from pathlib import Path

from core.errors import InvalidArgument
from core.ids import asset_key, is_asset_id
from core.settings import Settings
from lakehouse.areas import Area


def project_area(landing_url: str, project: str) -> Area:
    """Returns the landing area of a project, from which its definitions read files.

    It has the name of the project. A project keeps its name when it moves to another organization.

    Raises:
        InvalidArgument: the landing URL isn't a local folder, or the project name is invalid.
    """
    if not is_asset_id(f"{project}.schema.table"):
        raise InvalidArgument(f"{project!r} is not a project name. Use lower-case letters, digits, and underscores.")
    return Area(landing_root(landing_url), f"the landing area of {project}", inner=project)


def table_areas(landing_url: str, table: str) -> list[Area]:
    """Returns the landing folder of a table, and the folder that earlier releases used, if it exists."""
    project, schema, name = asset_key(table)
    areas = [project_area(landing_url, project).below(f"{schema}/{name}")]
    earlier = Area(landing_root(landing_url), f"the earlier landing folder of {table}", inner=table)
    return [*areas, earlier] if earlier.exists() else areas


def landing_root(landing_url: str) -> Path:
    """Returns the folder that contains the landing areas of all projects.

    Raises:
        InvalidArgument: the URL is that of an object store.
    """
    path = landing_url.removeprefix("file://")
    if "://" in path:
        raise InvalidArgument(
            f"HEADWATER_LANDING_URL is {landing_url}, but files can only land in a folder. Set it to a folder. If "
            "files arrive in an object store, mount it there."
        )
    return Path(path).expanduser().absolute()


def repository_area(folder: Path, settings: Settings) -> Area:
    """Returns a folder of the repository, which YAML files of the repository can read.

    The platform's own folders and the landing areas are excluded, even if they are below it.
    """
    local = [landing_root(settings.effective_landing_url)]
    for url in (settings.effective_lakehouse_url, settings.effective_vectors_url):
        path = url.removeprefix("file://")
        local += [] if "://" in path else [Path(path).expanduser().absolute()]
    return Area(folder, "the folder of the definition", forbidden=(settings.home, *local))
