"""The composition root of the Dagster side, and the sample project."""
