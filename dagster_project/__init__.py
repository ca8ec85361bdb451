"""The Dagster side's composition root and the sample project."""
