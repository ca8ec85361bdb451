"""Nouns of the admin service, one file each."""
