"""Models in use: what they are and what they predict."""
