"""Adapters behind `core.ports`: what the platform needs of the outside."""
