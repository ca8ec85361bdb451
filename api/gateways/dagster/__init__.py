"""The orchestrator port over Dagster's GraphQL API on the loopback address."""
