"""Logic of the admin service that its kinds share."""
