"""The types of connectors, one in each file."""
