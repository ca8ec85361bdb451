"""The audit log in the lakehouse. The API writes its tables. Dagster has them as assets and records each version."""
