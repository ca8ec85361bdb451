"""Models: versions, predictions, and provenance."""
