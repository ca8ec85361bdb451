"""The web console, and the pages for users who aren't logged in: static files that use the REST API."""
