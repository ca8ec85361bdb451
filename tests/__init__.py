"""Tests of the platform. As a regular package, it precedes the `tests` that some distributions install."""
