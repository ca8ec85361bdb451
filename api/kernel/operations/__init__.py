"""Long work: accepted with 202, followed, cancelled for real, and true after any crash."""
