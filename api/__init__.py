"""The HTTP side: REST services, protocol faces, the home page and the door to the Dagster UI."""
