"""The audit trail in the lakehouse. The API writes its tables; Dagster knows them, and tells of each new version."""
