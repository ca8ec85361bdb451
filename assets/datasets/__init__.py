"""Tables: ingested from files, transformed by SQL or Polars, checked."""
