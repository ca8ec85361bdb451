"""Permissions: grants, their evaluation, and visibility."""
