"""Retrieval engine: documents become chunks in a Delta table, and a LanceDB index that mirrors one of its versions."""
