"""Delta Lake engine: tables with exact versions, the lineage between them, and the pins that keep versions readable.

Importing this package loads no Arrow, Polars, DuckDB or Delta library and starts no thread; the first use does.
"""
