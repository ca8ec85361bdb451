"""The changes of everything that a caller can see, as one stream."""
