"""Protocols of other systems, as further interfaces to the same operations."""
