"""Answers about permissions: whether, why, who, on what; now, after a change, and in the past."""
