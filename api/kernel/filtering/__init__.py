"""The filter language: a part of CEL, read once, equal in SQL and in Python."""
