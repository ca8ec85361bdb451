"""Storage of resources, their lists, and idempotency keys."""
