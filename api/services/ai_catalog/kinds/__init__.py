"""Kinds of the catalog. Some parts of an asset have their own file."""
