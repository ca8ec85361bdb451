"""Long-running operations: their storage, execution, and resource. Their state stays correct after any crash."""
