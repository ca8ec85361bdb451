"""Kinds of the connections service."""
