"""The machine every service runs on: declarations become routes, permissions, OpenAPI documents and audit rows."""
