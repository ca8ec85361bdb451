"""Adapters that implement `core.ports` over external systems."""
