"""Logic of the service that its kinds share."""
