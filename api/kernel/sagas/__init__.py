"""Sagas: long work of the API itself, as persisted steps that are finished or undone, whatever dies in between."""
