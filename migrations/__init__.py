"""Alembic migrations of the metadata database."""

from pathlib import Path


def upgrade(url: str) -> None:
    """Upgrades a metadata database to the newest revision.

    Args:
        url: SQLAlchemy URL of the database.
    """
    from alembic import command
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent))
    configuration.attributes["url"] = url
    command.upgrade(configuration, "head")
