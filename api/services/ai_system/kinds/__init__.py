"""Kinds of the service."""
