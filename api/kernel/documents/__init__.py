"""What is told of the declarations: OpenAPI, catalogue, ledger."""
