"""The home page, the account page, and the login page: static files that use the REST API."""
