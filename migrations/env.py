"""The Alembic environment. It migrates the database of the caller's URL, or by default of the settings."""

from alembic import context

from core.db import Database
from core.settings import load_settings
from migrations.tables import METADATA

url = context.config.attributes.get("url") or load_settings().effective_database_url
database = Database(url)
with database.write() as connection:
    context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
database.close()
