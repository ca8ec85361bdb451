"""The runtime of all services. It turns declarations into routes, permissions, OpenAPI documents, and audit events."""
