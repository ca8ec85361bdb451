"""The component tree of the location `published`: one instance per project, and their shared definitions."""
