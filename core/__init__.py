"""Headwater's own vocabulary: settings, errors, identifiers, time, the metadata database, events and ports."""
