"""The HTTP side: REST services, protocol faces, the console and the door to the Dagster UI."""
