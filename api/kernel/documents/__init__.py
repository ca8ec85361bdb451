"""Documents that are derived from the declarations: OpenAPI, the catalog of kinds, and explanations of operations."""
