"""Retrieval with citations."""
