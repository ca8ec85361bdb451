"""The AI catalog: assets, their definitions, queries, and automation."""
