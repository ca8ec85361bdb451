"""The program `python -m migrations`, which upgrades the metadata database of the settings to the newest revision."""

from core.settings import load_settings
from migrations import upgrade

if __name__ == "__main__":
    upgrade(load_settings().effective_database_url)
