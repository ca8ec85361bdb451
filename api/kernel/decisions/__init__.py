"""Questions about permissions: decisions with their reasons, principals, and objects, now and in the past."""
