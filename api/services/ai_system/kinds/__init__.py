"""Nouns of the service, one file each."""
