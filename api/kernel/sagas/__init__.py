"""Sagas: long-running operations of the API as stored steps, which are all done or all undone after any crash."""
