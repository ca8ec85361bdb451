"""Rows of resources: written whole, read together, listed page by page."""
