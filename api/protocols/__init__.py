"""Protocols that other systems speak, as faces of the same operations."""
