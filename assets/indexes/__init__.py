"""Search indexes as assets: documents, their chunks, and how well they are found."""
