"""The filter language: a subset of CEL that compiles to SQL and to Python with the same results."""
