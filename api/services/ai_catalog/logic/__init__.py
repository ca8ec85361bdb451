"""Logic of the catalog that its kinds share."""
