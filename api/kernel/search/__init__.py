"""Full-text search: what is indexed, the index, and what a caller can find in it."""
